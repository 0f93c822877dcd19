"""A run: what it learns, what it leaves alone, when it ends, and that stopping it changes nothing."""

import dataclasses
import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ml.folders.photo_set import read_photo_set
from ml.recipe import ModelFilesError
from ml.training import checkpoint, loop
from ml.training.data.photo_pixels import decoded
from ml.training.loop import Run, TrainingError
from ml.training.optimisation import rate
from ml.training.plan import CLASSIFY, METRIC
from ml.training.validation.retrieval import NotFiniteError
from tests.ml.shapes import draw_shapes, tiny_network

SHORT = {"epochs": 3, "batch": 8, "sizes": ((1.0, 24),), "warm_up": 0.1}
PLAN = dataclasses.replace(METRIC, **SHORT, ema=0.9)
PLANS = {
    "metric": dataclasses.replace(METRIC, **SHORT, ema_warm_up=True, l2_sp=0.1, keep=0.3),
    "classify": dataclasses.replace(CLASSIFY, **SHORT | {"warm_up": 0}, frozen=("conv1", "bn1")),
}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    pictures = dataclasses.replace(read_photo_set(draw_shapes(folder)), groups=None)
    return decoded(pictures, 32, folder / "cache")


@pytest.fixture
def begin(tmp_path, photos):
    """Makes a run over the same pictures, from the same network."""

    def make(plan=PLAN, folder="run", validation=photos, network=None, **options):
        network = network or tiny_network()
        return Run(tmp_path / folder, plan, network, 8, photos, validation, **options)

    return make


def state(network):
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def assert_same_bits(one, other):
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


class Stop(Exception):
    """Raised where a process would be killed."""


def stop_in(epoch):
    def after_epoch(run):
        if len(run.epochs) == epoch:
            raise Stop

    return after_epoch


def test_a_run_learns_and_keeps_its_history(begin, tmp_path):
    run = begin(dataclasses.replace(PLAN, epochs=6))
    run.train()
    assert run.epochs[-1].loss < run.epochs[0].loss - 0.2
    lines = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert lines == [vars(epoch) for epoch in run.epochs]
    assert [line["number"] for line in lines] == list(range(6))


@pytest.mark.parametrize("recipe", PLANS)
def test_a_run_that_was_stopped_ends_with_the_same_bits(begin, recipe):
    start = state(tiny_network())
    whole = begin(PLANS[recipe], "whole", start=start)
    whole.train()
    for epoch in (2, 3):  # stopped twice, each time before the epoch's checkpoint
        with pytest.raises(Stop):
            begin(PLANS[recipe], "stopped", start=start).train(stop_in(epoch))
    resumed = begin(PLANS[recipe], "stopped", start=start)
    resumed.train()
    assert_same_bits(state(resumed.network), state(whole.network))
    assert_same_bits(resumed.best["weights"], whole.best["weights"])
    assert [(epoch.loss, epoch.validation) for epoch in resumed.epochs] == [
        (epoch.loss, epoch.validation) for epoch in whole.epochs
    ]
    assert len((resumed.folder / "history.jsonl").read_text().splitlines()) == 3


def test_a_run_that_is_over_stays_as_it_is(begin):
    first = begin()
    first.train()
    again = begin()
    again.train(stop_in(4))
    assert again.finished
    assert len(again.epochs) == 3
    assert again.best["epoch"] == first.best["epoch"]
    assert_same_bits(again.best["weights"], first.best["weights"])


def test_a_run_of_an_older_version_goes_on(begin):
    """Plans have gained fields since; those that an old checkpoint does not name have their defaults."""
    run = begin()
    with pytest.raises(Stop):
        run.train(stop_in(2))
    old = checkpoint.load(run.folder)
    plan = json.loads(old["plan"])
    for name in ("minutes", "ema_warm_up", "l2_sp", "keep"):
        del plan[name]
    del old["photos"]
    checkpoint.save(run.folder, old | {"plan": json.dumps(plan)})
    resumed = begin()
    resumed.resume()
    assert len(resumed.epochs) == 1


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"lr": 0.2, "seed": 2}, r"another plan \(lr, seed\)"), ({"keep": 0.5}, r"another plan \(keep\)")],
)
def test_a_folder_of_another_plan_is_refused(begin, changes, named):
    with pytest.raises(Stop):
        begin().train(stop_in(2))
    with pytest.raises(TrainingError, match=named):
        begin(dataclasses.replace(PLAN, **changes)).train()


def test_a_folder_of_other_pictures_is_refused(begin, photos, tmp_path):
    with pytest.raises(Stop):
        begin().train(stop_in(2))
    fewer = photos.sample(len(photos.targets) - 4, seed=0)
    with pytest.raises(TrainingError, match="other pictures"):
        Run(tmp_path / "run", PLAN, tiny_network(), 8, fewer, photos).train()


def test_frozen_layers_keep_weights_and_statistics(begin):
    run = begin(dataclasses.replace(PLAN, frozen=("conv1", "bn1")))
    before = state(run.network)
    run.train()
    after = state(run.network)
    assert_same_bits(
        {name: before[name] for name in before if name.startswith(("conv1", "bn1"))},
        {name: after[name] for name in after if name.startswith(("conv1", "bn1"))},
    )
    assert not torch.equal(before["layer1.0.weight"], after["layer1.0.weight"])
    assert not torch.equal(before["layer1.1.running_mean"], after["layer1.1.running_mean"])


def test_the_average_covers_weights_and_statistics(begin):
    run = begin(dataclasses.replace(PLAN, epochs=1))
    seen = []
    run.network.register_forward_pre_hook(lambda network, _: seen.append(state(network)))
    run.train(lambda run: seen.append(state(run.network)))
    average, last = state(run.result), seen[-1]
    for name in ("fc.weight", "bn1.running_mean"):
        expected = seen[1][name]  # after the first step
        for later in seen[2:]:
            expected = 0.9 * expected + 0.1 * later[name]
        torch.testing.assert_close(average[name], expected)
        assert not torch.allclose(average[name], last[name])


def test_the_network_computes_in_bfloat16_and_the_loss_in_float32(begin):
    run = begin(dataclasses.replace(PLAN, epochs=1), validation=None)
    seen = set()
    run.network.conv1.register_forward_hook(lambda _layer, _inputs, maps: seen.add(("network", maps.dtype)))
    run.loss.register_forward_pre_hook(
        lambda _loss, inputs: seen.add(("loss", inputs[0].dtype, torch.is_autocast_enabled("cpu")))
    )
    run.train()
    assert seen == {("network", torch.bfloat16), ("loss", torch.float32, False)}


def test_gradients_are_clipped(begin):
    run = begin(dataclasses.replace(PLAN, clip=1e-9, weight_decay=0.0, epochs=1))
    before, proxies = state(run.network), state(run.loss)
    run.train()
    for name, weight in run.network.named_parameters():
        torch.testing.assert_close(weight.detach(), before[name], atol=1e-7, rtol=0)
    assert not torch.allclose(next(iter(run.loss.state_dict().values())), next(iter(proxies.values())))


def test_minutes_pace_the_rates_and_end_the_run(photos, tmp_path, monkeypatch):
    """By a clock on which every step takes a second: 30 of them, where an epoch has 25."""
    ticks = itertools.count()
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))
    long = dataclasses.replace(photos, epoch_length=200)
    run = Run(tmp_path / "run", dataclasses.replace(PLAN, minutes=0.5, epochs=1), tiny_network(), 8, long)
    run.train()
    first, last = run.epochs
    assert [first.pictures, last.pictures] == [200, 24]
    assert [first.seconds, last.seconds] == [26, 5]
    assert first.lr == pytest.approx(PLAN.lr * rate(25 / 30, 0.1))
    assert last.lr == pytest.approx(PLAN.lr * rate(29 / 30, 0.1))
    assert run.finished


def test_a_run_ends_when_nothing_gets_better_and_keeps_the_best(begin):
    still = dataclasses.replace(PLAN, epochs=9, patience=2, frozen=("conv1", "bn1", "layer1", "avgpool", "fc"))
    run = begin(still)
    run.train()
    assert len(run.epochs) == 3
    assert run.best["epoch"] == 0


def test_the_best_epoch_by_map_at_r_is_what_comes_out(begin):
    run = begin(dataclasses.replace(PLAN, epochs=5, lr=0.5))
    results = []
    run.train(lambda run: results.append(state(run.result)))
    figures = [epoch.validation["map_at_r"] for epoch in run.epochs]
    assert run.best["epoch"] == int(np.argmax(figures))
    assert_same_bits(state(run.best_network()), results[run.best["epoch"]])
    assert not run.best_network().training


def test_without_validation_the_last_epoch_comes_out(begin):
    run = begin(validation=None)
    run.train()
    assert run.best["epoch"] == 2
    assert_same_bits(run.best["weights"], state(run.result))


def test_a_loss_that_is_not_finite_ends_the_run_in_one_sentence(begin):
    network = tiny_network()
    with torch.no_grad():
        network.fc.weight.fill_(torch.nan)
    with pytest.raises(TrainingError, match=r"The loss became nan at 0% of the run; train with a lower rate\."):
        begin(network=network).train()


def test_vectors_that_are_not_finite_end_the_run_in_one_sentence(begin):
    with pytest.raises(NotFiniteError, match=r"vectors are no longer finite; train with a lower rate\."):
        begin(dataclasses.replace(PLAN, batch=32, lr=1e38, warm_up=0)).train()


def test_what_cannot_be_trained_is_refused_before_it_starts(begin, photos, tmp_path):
    with pytest.raises(TrainingError, match="no layer 'layer9' to freeze; the network has: conv1, bn1, relu, layer1"):
        begin(dataclasses.replace(PLAN, frozen=("layer9",)))
    with pytest.raises(TrainingError, match="32 pictures are fewer than a batch of 64"):
        begin(dataclasses.replace(PLAN, batch=64))
    one = dataclasses.replace(photos, classes=["all"])
    with pytest.raises(TrainingError, match="All pictures are of one class"):
        Run(tmp_path, PLAN, tiny_network(), 8, one)
    lonely = dataclasses.replace(photos, groups=photos.targets)
    with pytest.raises(TrainingError, match="No validation picture has another of its class to find"):
        begin(validation=lonely)


def test_pictures_of_one_group_do_not_count_as_found(begin, photos):
    """Half of each class is one group: what is left to find are the other pictures."""
    from ml.training.validation.retrieval import judgement

    grouped = dataclasses.replace(photos, groups=np.arange(len(photos.targets)) // 4)
    judged = judgement(begin().result, grouped, 24, torch.device("cpu")).judged
    assert set(judged.relevant) == {4}
    for query, found in enumerate(judged.found):
        assert not {row // 4 for row in found if row >= 0} & {query // 4}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda state: state | {"network": state["network"] | {"fc.weight": torch.zeros(4, 16)}}, "another dimension"),
        (
            lambda state: state | {"network": state["network"] | {"conv1.weight": torch.zeros(4)}},
            "another architecture",
        ),
        (
            lambda state: state | {"network": state["network"] | {"layer4.weight": torch.zeros(4)}},
            "it has layer4.weight",
        ),
        (lambda state: state | {"loss": {}}, "does not fit this run"),
        (lambda state: {name: state[name] for name in state if name != "best"}, "is no checkpoint of a training run"),
        (lambda state: state["network"]["fc.weight"], "is no checkpoint of a training run"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused_by_name(begin, change, says):
    with pytest.raises(Stop):
        begin().train(stop_in(2))
    run = begin()
    path = run.folder / "checkpoint.pt"
    checkpoint.save(run.folder, change(checkpoint.load(run.folder)))
    with pytest.raises(ModelFilesError, match=says) as refused:
        run.train()
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("part", [0.0, 0.001, 0.5, 0.9, 0.999])
def test_a_checkpoint_that_is_cut_short_is_refused_by_name(begin, part):
    with pytest.raises(Stop):
        begin().train(stop_in(2))
    run = begin()
    path = run.folder / "checkpoint.pt"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(ModelFilesError, match="is damaged") as refused:
        run.train()
    assert str(refused.value).startswith(str(path))


@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_code_in_a_checkpoint_is_not_run(begin, tmp_path, zipped):
    class Malice:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    run = begin()
    run.folder.mkdir()
    torch.save({"epoch": 1, "network": Malice()}, run.folder / "checkpoint.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelFilesError, match=r"checkpoint\.pt is damaged, or holds more than weights"):
        run.train()
    assert not (tmp_path / "owned").exists()
