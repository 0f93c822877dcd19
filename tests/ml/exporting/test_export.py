"""A model directory is born whole, the same on every run, or not at all."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ml.__main__ import main
from ml.recipe import ModelFilesError, Recipe, file_sha256

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    directory = tmp_path_factory.mktemp("models") / "untrained"
    command = [sys.executable, "-m", "ml", "export", "--weights", "untrained", "--out", str(directory)]
    return directory, subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def refusal(capsys, *arguments) -> str:
    assert main(["export", *map(str, arguments)]) == 1
    return capsys.readouterr().err.strip()


def test_export_writes_weights_graph_and_recipe(exported):
    directory, output = exported
    names = {"weights.safetensors", "embedder.xml", "embedder.bin"}
    assert {path.name for path in directory.iterdir()} == {"recipe.json", *names}
    recipe = json.loads((directory / "recipe.json").read_text())
    assert (recipe["version"], recipe["weights"]) == ("untrained", "untrained")
    assert (recipe["arch"], recipe["dim"], recipe["size"]) == ("resnet50", 1000, 224)
    assert recipe["files"] == {name: file_sha256(directory / name) for name in names}
    assert recipe["sha256"] == recipe["files"]["weights.safetensors"]
    assert recipe["sha256"] in output
    assert [path.name for path in directory.parent.iterdir()] == ["untrained"]


def test_untrained_weights_have_the_same_bits_on_every_run(exported, model_dir):
    assert exported[0] != model_dir
    assert Recipe.read(exported[0]) == Recipe.read(model_dir)


def test_untrained_weights_leave_the_callers_random_state_alone():
    import torch

    from ml.network.weights import load_network

    before = torch.random.get_rng_state()
    load_network("untrained", dim=8)
    assert torch.equal(before, torch.random.get_rng_state())


def test_an_existing_model_is_not_overwritten(exported, capsys):
    recipe = exported[0] / "recipe.json"
    before = file_sha256(recipe)
    assert "exists already" in refusal(capsys, "--weights", "untrained", "--out", exported[0])
    assert file_sha256(recipe) == before


ASKED = "export: The network that was asked for has "
NEITHER = "neither one of starter, imagenet, untrained nor a file."


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("--weights", "random"),
            f"export: There are no weights 'random': {NEITHER}",
        ),
        (
            ("--weights", "model.pth"),
            f"export: There are no weights 'model.pth': {NEITHER}",
        ),
        (
            ("--weights", "untrained", "--arch", "vgg"),
            "export: Unknown architecture 'vgg'; known: resnet18, resnet34, resnet50.",
        ),
        (("--weights", "untrained", "--dim", "0"), ASKED + "dim 0; it must be a number from 1 to 8192."),
        (("--weights", "untrained", "--size", "0"), ASKED + "size 0; it must be a number from 8 to 1024."),
        (("--weights", "starter", "--size", "3"), ASKED + "size 3; it must be a number from 8 to 1024."),
        (("--weights", "starter", "--size", "100000"), ASKED + "size 100000; it must be a number from 8 to 1024."),
        (("--weights", "ml"), f"export: There are no weights 'ml': {NEITHER}"),
        (("--weights", "imagenet", "--dim", "64"), "export: ImageNet weights have 1000 dimensions, not 64."),
    ],
)
def test_what_cannot_be_exported_is_told_in_one_sentence(tmp_path, capsys, arguments, sentence):
    assert refusal(capsys, "--out", tmp_path / "model", *arguments) == sentence
    assert list(tmp_path.iterdir()) == []


def test_imagenet_weights_without_cache_and_network_are_refused_in_one_sentence(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    found = refusal(capsys, "--weights", "imagenet", "--out", tmp_path / "model").splitlines()[-1]
    assert found.startswith(f"export: ImageNet weights are neither in {tmp_path}/torch/hub/checkpoints nor at https")
    assert not (tmp_path / "model").exists()


def test_a_damaged_cache_of_imagenet_weights_is_refused_in_one_sentence(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    cache = tmp_path / "torch" / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    (cache / "resnet50-11ad3fa6.pth").write_bytes(b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.")
    assert "neither in" in refusal(capsys, "--weights", "imagenet", "--out", tmp_path / "model")


def test_a_place_that_cannot_be_written_is_told_in_one_sentence(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    found = refusal(capsys, "--weights", "untrained", "--out", tmp_path / "file" / "model")
    assert found == f"export: {tmp_path}/file/model cannot be written: File exists."


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch.jit")
def test_a_graph_that_disagrees_with_its_network_is_not_written(tmp_path, monkeypatch):
    from ml.exporting import export

    true_vectors = export.embed_with_torch
    monkeypatch.setattr(export, "embed_with_torch", lambda *args: -true_vectors(*args))
    with pytest.raises(ModelFilesError, match=r"below 0\.999"):
        export.build_model(tmp_path / "model", "wrong", dim=8)
    assert list(tmp_path.iterdir()) == []


def test_help_names_every_option(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["export", "--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    for option in ("--weights", "--out", "--version", "--arch", "--dim"):
        assert option in shown
