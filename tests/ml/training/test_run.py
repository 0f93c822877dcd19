"""A run: what it learns, what it leaves alone, and when it ends."""

import dataclasses
import itertools
import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ml.training import loop, precision
from ml.training.errors import TrainingError
from ml.training.learning.schedule import rate_factor
from ml.training.loop import Run
from ml.training.validation.retrieval import NotFiniteError
from tests.ml.shapes import tiny_network
from tests.ml.training.runs import PLAN, assert_same_bits, state

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_run_learns_and_keeps_its_history(begin, tmp_path):
    run = begin(dataclasses.replace(PLAN, epochs=6))
    run.train()
    assert run.epochs[-1].loss < run.epochs[0].loss - 0.2
    lines = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert lines == [vars(epoch) for epoch in run.epochs]
    assert [line["number"] for line in lines] == list(range(6))


def test_frozen_layers_keep_weights_and_statistics(begin):
    run = begin(dataclasses.replace(PLAN, frozen=("conv1", "bn1")))
    before = state(run.learner.network)
    run.train()
    after = state(run.learner.network)
    assert_same_bits(
        {name: before[name] for name in before if name.startswith(("conv1", "bn1"))},
        {name: after[name] for name in after if name.startswith(("conv1", "bn1"))},
    )
    assert not torch.equal(before["layer1.0.weight"], after["layer1.0.weight"])
    assert not torch.equal(before["layer1.1.running_mean"], after["layer1.1.running_mean"])


def test_layers_thaw_when_their_part_of_the_run_is_over(begin):
    run = begin(dataclasses.replace(PLAN, frozen=("conv1", "bn1"), thaw=0.5, epochs=4))
    seen = [state(run.learner.network)]
    run.train(lambda run: seen.append(state(run.learner.network)))
    changed = [not torch.equal(one["conv1.weight"], other["conv1.weight"]) for one, other in itertools.pairwise(seen)]
    followed = [
        not torch.equal(one["bn1.running_mean"], other["bn1.running_mean"]) for one, other in itertools.pairwise(seen)
    ]
    assert changed == followed == [False, False, True, True]


def test_the_average_covers_weights_and_statistics(begin):
    run = begin(dataclasses.replace(PLAN, epochs=1))
    seen = []
    run.learner.network.register_forward_pre_hook(lambda network, _: seen.append(state(network)))
    run.train(lambda run: seen.append(state(run.learner.network)))
    average, last = state(run.learner.result), seen[-1]
    for name in ("fc.weight", "bn1.running_mean"):
        expected = seen[1][name]  # after the first step
        for later in seen[2:]:
            expected = 0.9 * expected + 0.1 * later[name]
        torch.testing.assert_close(average[name], expected)
        assert not torch.allclose(average[name], last[name])


@pytest.mark.parametrize(("computed", "wanted"), [(True, torch.bfloat16), (False, torch.float32)])
def test_the_network_computes_in_bfloat16_where_the_processor_does(begin, monkeypatch, computed, wanted):
    monkeypatch.setattr(precision, "computes_bf16", lambda: computed)
    run = begin(dataclasses.replace(PLAN, epochs=1), validation=None)
    seen: set[tuple[Any, ...]] = set()
    run.learner.network.conv1.register_forward_hook(lambda _layer, _inputs, maps: seen.add(("network", maps.dtype)))
    run.learner.loss.register_forward_pre_hook(
        lambda _loss, inputs: seen.add(("loss", inputs[0].dtype, torch.is_autocast_enabled("cpu")))
    )
    run.train()
    assert seen == {("network", wanted), ("loss", torch.float32, False)}


def test_gradients_are_clipped(begin):
    run = begin(dataclasses.replace(PLAN, clip=1e-9, weight_decay=0.0, epochs=1))
    before, proxies = state(run.learner.network), state(run.learner.loss)
    run.train()
    for name, weight in run.learner.network.named_parameters():
        torch.testing.assert_close(weight.detach(), before[name], atol=1e-7, rtol=0)
    assert not torch.allclose(next(iter(run.learner.loss.state_dict().values())), next(iter(proxies.values())))


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
    assert first.lr == pytest.approx(PLAN.lr * rate_factor(25 / 30, 0.1))
    assert last.lr == pytest.approx(PLAN.lr * rate_factor(29 / 30, 0.1))
    assert run.is_finished


def test_a_run_ends_when_nothing_gets_better_and_keeps_the_best(begin):
    still = dataclasses.replace(PLAN, epochs=9, patience=2, frozen=("conv1", "bn1", "layer1", "avgpool", "fc"))
    run = begin(still)
    run.train()
    assert len(run.epochs) == 3
    assert run.best.epoch == 0


def test_the_best_epoch_by_map_at_r_is_what_comes_out(begin):
    run = begin(dataclasses.replace(PLAN, epochs=5, lr=0.5))
    results = []
    run.train(lambda run: results.append(state(run.learner.result)))
    figures = [epoch.validation["map_at_r"] for epoch in run.epochs]
    assert run.best.epoch == int(np.argmax(figures))
    assert_same_bits(state(run.best_network()), results[run.best.epoch])
    assert not run.best_network().training


def test_without_validation_the_last_epoch_comes_out(begin):
    run = begin(validation=None)
    run.train()
    assert run.best.epoch == 2
    assert_same_bits(run.best.weights, state(run.learner.result))


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
    from ml.training.validation.retrieval import judge_network

    grouped = dataclasses.replace(photos, groups=np.arange(len(photos.targets)) // 4)
    judged = judge_network(begin().learner.result, grouped, 24, torch.device("cpu")).judged
    assert set(judged.relevant) == {4}
    for query, found in enumerate(judged.found):
        assert not {row // 4 for row in found if row >= 0} & {query // 4}
