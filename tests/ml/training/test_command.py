"""`python -m ml train`, as people run it: started, killed, started again, and refused."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ml.__main__ import main
from ml.folders.trained_photos import read_trained_photos, write_trained_photos
from ml.network.resnet import Architecture, create_network
from ml.network.weights import STARTER, read_weights, write_weights
from tests.ml.shapes import draw_shapes
from tests.ml.training.runs import killed_after_an_epoch

ROOT = Path(__file__).resolve().parents[3]
SMALL = ["--batch", "8", "--threads", "1"]


@pytest.fixture(scope="module", autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return draw_shapes(tmp_path_factory.mktemp("shapes"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A weights file of a small network, pooled by GeM."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    torch.manual_seed(5)
    shape = Architecture("resnet18", 6, "gem", 32)
    write_weights(path, create_network(shape), shape)
    return path


def refusal(capsys, *arguments) -> str:
    assert main(["train", *map(str, arguments)]) == 1
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_a_run_that_is_killed_ends_with_the_same_bits(weights, tmp_path, capsys):
    table = draw_shapes(tmp_path / "shapes")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    options = [*SMALL, "--weights", str(weights), "--epochs", "3", "--validation-share", "0"]
    options += ["--l2-sp", "0.01", "--keep", "0.1"]
    assert main(["train", str(table), "--out", str(whole), *options]) == 0
    killed_after_an_epoch([sys.executable, "-m", "ml", "train", str(table), "--out", str(killed), *options], killed)
    assert len((killed / "history.jsonl").read_text().splitlines()) < 3
    (tmp_path / "shapes" / "red3.png").unlink()  # its decoded picture is still there
    for name in ("mine.u8", "pixels-0123456789abcdef.u8", ".pixels-0123456789abcdef.json.part"):
        (killed / "cache" / name).touch()
    capsys.readouterr()
    assert main(["train", str(table), "--out", str(killed), *options]) == 0
    assert not any(line.startswith("epoch 1:") for line in capsys.readouterr().out.splitlines())
    resumed, loaded = (read_weights(folder / "weights.safetensors") for folder in (killed, whole))
    assert resumed.about == loaded.about
    assert_same_bits(resumed.network, loaded.network)
    kept = [torch.load(folder / "checkpoint.pt", weights_only=True) for folder in (killed, whole)]
    assert all(torch.equal(tensor, kept[1]["network"][name]) for name, tensor in kept[0]["network"].items())

    assert loaded.architecture == Architecture("resnet18", 6, "gem", 32)
    told = {name: loaded.about[name] for name in ("recipe", "classes", "pictures", "start", "epoch")}
    expected = {"recipe": "metric", "classes": "4", "pictures": "32", "start": "small.safetensors", "epoch": "3"}
    assert told == expected
    plan = json.loads((whole / "plan.json").read_text())
    assert (plan["l2_sp"], plan["keep"], plan["epochs"], plan["arch"]) == (0.01, 0.1, 3, "resnet18")
    assert not (whole / "cache").exists()
    noted = [read_trained_photos(folder / "weights.safetensors").tolist() for folder in (whole, killed)]
    assert len(noted[0]) > 20  # some of 32 shapes look alike
    assert noted[0] == noted[1]
    assert [path.name for path in (killed / "cache").iterdir()] == ["mine.u8"]

    for folder in (whole, killed):
        assert_every_epoch_is_shown_once(folder / "tensorboard", 3)
    assert main(["train", str(table), "--out", str(whole), *options]) == 0
    assert "is a finished run; its weights are" in capsys.readouterr().out
    found = refusal(capsys, table, "--out", whole, *options[:-2], "--keep", "0.2")
    assert found == f"train: {whole} holds a run with other options (keep was 0.1, not 0.2); choose another folder."
    table.write_text(table.read_text().replace("red3.png,red", "red3.png,blue"))
    found = refusal(capsys, table, "--out", whole, *options)
    assert found == f"train: {whole} holds a run with other options (another table file); choose another folder."


def assert_same_bits(one: torch.nn.Module, other: torch.nn.Module) -> None:
    state = other.state_dict()
    assert [name for name, tensor in one.state_dict().items() if not torch.equal(tensor, state[name])] == []


def assert_every_epoch_is_shown_once(folder: Path, epochs: int) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    for tag in ("loss/training", "accuracy/training", "rate/head", "rate/trunk"):
        assert [point.step for point in events.Scalars(tag)] == list(range(epochs)), tag


@pytest.mark.parametrize(("head", "kept"), [((), 0.7), (("--dim", "12"), 0.0), (("--dim", "12", "--keep", "0.5"), 0.5)])
def test_most_of_the_start_is_kept_unless_the_head_is_new(table, weights, tmp_path, head, kept):
    options = [*SMALL, "--epochs", "1", "--weights", str(weights), *head]
    assert main(["train", str(table), "--out", str(tmp_path / "run"), *options]) == 0
    assert json.loads((tmp_path / "run" / "plan.json").read_text())["keep"] == kept


def test_a_new_head_keeps_the_trunk_and_says_so(table, weights, tmp_path, capsys):
    frozen = "conv1,bn1,layer1,layer2,layer3,layer4"
    options = [*SMALL, "--epochs", "1", "--recipe", "classify", "--freeze", frozen]
    weights = Path(shutil.copy(weights, tmp_path))
    write_trained_photos(weights, np.array([7], np.uint64))
    options += ["--weights", str(weights), "--dim", "12"]
    assert main(["train", str(table), "--out", str(tmp_path / "run"), *options]) == 0
    said = capsys.readouterr().out
    assert f"classify: resnet18 with 12 dimensions from {weights} (a new head, 12 dimensions in place of 6)" in said
    after = read_weights(tmp_path / "run" / "weights.safetensors")
    assert after.architecture == Architecture("resnet18", 12, "gem", 32)
    assert "may find each other" in said
    assert {7} < set(read_trained_photos(tmp_path / "run" / "weights.safetensors").tolist())
    before = read_weights(weights).network.state_dict()
    for name, tensor in after.network.state_dict().items():
        assert torch.equal(tensor, before[name]) or name.startswith(("fc.", "avgpool.")), name


def test_a_validation_set_of_its_own_is_judged_by(table, weights, tmp_path, capsys):
    lines = table.read_text().splitlines()
    apart = table.with_name("apart.csv")
    apart.write_text("\n".join([lines[0], *lines[1:4], *lines[9:12]]) + "\n")
    options = [*SMALL, "--epochs", "1", "--weights", str(weights), "--validation", str(apart)]
    assert main(["train", str(table), "--out", str(tmp_path / "run"), *options]) == 0
    assert "on 32 pictures of 4 classes, judged by 6 others" in capsys.readouterr().out
    best = read_weights(tmp_path / "run" / "weights.safetensors").about
    assert json.loads(best["metrics"]) == json.loads((tmp_path / "run" / "history.jsonl").read_text())["validation"]


def test_another_validation_set_is_another_run(table, weights, tmp_path, capsys, monkeypatch):
    """Of as many pictures as the first."""
    run, apart = tmp_path / "run", tmp_path / "apart.csv"
    header, *rows = table.read_text().splitlines()
    options = [table, "--images", table.parent, "--out", run, "--weights", weights, "--validation", apart, *SMALL]
    apart.write_text("\n".join([header, *rows[:3]]) + "\n")
    monkeypatch.setattr("ml.training.job.train_and_report_run", stopped_after_an_epoch)
    assert main(["train", *map(str, options)]) == 130
    apart.write_text("\n".join([header, *rows[1:4]]) + "\n")
    found = refusal(capsys, *options)
    assert found == f"train: {run} holds a run with other options (another validation file); choose another folder."


def test_other_starter_weights_are_another_run(table, weights, tmp_path, capsys, monkeypatch):
    starter = tmp_path / "starter.safetensors"
    shutil.copy(weights, starter)
    monkeypatch.setattr("ml.network.weights.STARTER", starter)
    monkeypatch.setattr("ml.training.job.train_and_report_run", stopped_after_an_epoch)
    options = [table, "--out", tmp_path / "run", "--weights", "starter", "--validation-share", "0", *SMALL]
    assert main(["train", *map(str, options)]) == 130
    shape = Architecture("resnet18", 6, "gem", 32)
    write_weights(starter, create_network(shape), shape)
    assert "(another weights file); choose another folder." in refusal(capsys, *options)


def stopped_at_once(_run):
    raise KeyboardInterrupt


def stopped_after_an_epoch(run):
    (run.folder / "checkpoint.pt").touch()
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("stopped", "said"),
    [
        (stopped_at_once, "no epoch was finished; the same command begins again."),
        (stopped_after_an_epoch, "epochs that were finished are kept; the same command goes on."),
    ],
)
def test_a_run_that_is_stopped_says_what_is_kept(table, weights, tmp_path, capsys, monkeypatch, stopped, said):
    monkeypatch.setattr("ml.training.job.train_and_report_run", stopped)
    options = ["--out", str(tmp_path / "run"), "--weights", str(weights), "--validation-share", "0", *SMALL]
    assert main(["train", str(table), *options]) == 130
    assert f"{tmp_path}/run: {said}" in capsys.readouterr().out


def test_pictures_that_cannot_be_trained_on_are_told_with_the_way_out(table, weights, tmp_path, capsys):
    run, pictures = tmp_path / "run", tmp_path / "pictures"
    options = ["--weights", weights, *SMALL]
    shutil.copytree(table.parent, pictures)
    few = pictures / "few.csv"
    few.write_text("image,label,group\nred0.png,red,a\nblue0.png,blue,a\n")
    found = refusal(capsys, table, "--images", pictures, "--out", run, *options, "--validation", few)
    assert found.startswith("train: No validation picture has another of its class to find. Add pictures, or train")
    assert found.endswith("--validation-share 0.")
    (pictures / "red0.png").write_text("no picture")
    found = refusal(capsys, table, "--images", pictures, "--out", run, *options, "--validation-share", "0")
    assert found == (
        f"train: These pictures cannot be decoded: {pictures}/red0.png: The file is not a photo. "
        "Leave them out of the table; a run that has begun needs another folder then."
    )
    found = refusal(capsys, table, "--out", few, *options)
    assert found == f"train: {few} cannot be written: File exists. Choose another folder."


def test_a_correction_of_a_refused_start_is_accepted(table, weights, tmp_path, capsys):
    options = [table, "--out", tmp_path / "run", "--weights", weights, "--epochs", "1", *SMALL]
    assert "There is no layer 'layer9'" in refusal(capsys, *options, "--freeze", "layer9")
    assert main(["train", *map(str, options), "--freeze", "layer1"]) == 0


def test_missing_imagenet_weights_are_told_in_one_sentence(table, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    found = refusal(capsys, table, "--out", tmp_path / "run", "--weights", "imagenet")
    assert found.startswith(f"train: ImageNet weights are neither in {tmp_path}/torch/hub/checkpoints nor at https")
    assert found.endswith("or take the starter weights, which are here.")
    assert not (tmp_path / "run").exists()


def test_a_run_begins_with_the_starter_weights_and_needs_no_network(table, tmp_path, capsys):
    found = refusal(capsys, table, "--out", tmp_path / "run", "--freeze", "layer9")
    assert found.startswith("train: There is no layer 'layer9'"), (
        "the weights were read, and nothing was asked of a host"
    )
    found = refusal(capsys, table, "--out", tmp_path / "run", "--arch", "resnet50")
    assert found == f"train: {STARTER} holds a network with arch resnet18, not resnet50."


def test_what_cannot_be_started_is_told_in_one_sentence(table, weights, tmp_path, capsys):
    start = [table, "--out", tmp_path / "run", "--weights"]
    (tmp_path / "cut.safetensors").write_bytes(weights.read_bytes()[:1000])
    torch.save({"code": torch.zeros(3)}, tmp_path / "pickle.pth")
    for name in ("cut.safetensors", "pickle.pth"):
        found = refusal(capsys, *start, tmp_path / name)
        assert found.startswith(f"train: {tmp_path / name} is no complete safetensors file")
    found = refusal(capsys, *start, weights, "--arch", "resnet50")
    assert found == f"train: {weights} holds a network with arch resnet18, not resnet50."
    assert refusal(capsys, tmp_path / "none.csv", *start[1:], weights).startswith(
        f"train: {tmp_path}/none.csv cannot be"
    )
    both = refusal(capsys, *start, weights, "--validation", table, "--validation-share", "0.1")
    assert both == "train: --validation and --validation-share exclude each other; give one of them."
    for source in (weights, "untrained"):
        found = refusal(capsys, *start, source, "--size", "2000")
        assert found == "train: The network that was asked for has size 2000; it must be a number from 8 to 1024."
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--keep", "1", "'1' is not a share from 0 to less than 1"),
        ("--lr", "0", "'0' is not above 0"),
        ("--lr", "nan", "'nan' is not above 0"),
        ("--lr", "inf", "'inf' is not a finite number"),
        ("--batch", "1", "'1' is not a whole number above 1"),
        ("--l2-sp", "-1", "'-1' is below 0"),
        ("--epochs", "0", "'0' is not a whole number above 0"),
        ("--minutes", "soon", "'soon' is not a number"),
        ("--recipe", "magic", "invalid choice: 'magic'"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(capsys, option, value, says):
    with pytest.raises(SystemExit):
        main(["train", "photos.csv", "--out", "run", option, value])
    assert says in capsys.readouterr().err


def test_epochs_and_minutes_exclude_each_other(capsys):
    with pytest.raises(SystemExit):
        main(["train", "photos.csv", "--out", "run", "--epochs", "3", "--minutes", "2"])
    assert "not allowed with argument" in capsys.readouterr().err


def test_options_are_passed_on_as_they_were_given():
    from ml.commands.training_options import format_training_arguments

    given = {"out": "run", "recipe": "metric", "weights": "starter", "l2_sp": 0.1, "minutes": None, "verbosity": 1}
    arguments = format_training_arguments(given)
    assert arguments == ["--out", "run", "--recipe", "metric", "--weights", "starter", "--l2-sp", "0.1"]
