"""A run that was stopped goes on as if nothing had happened; what it cannot go on with is refused."""

import dataclasses
import json

import pytest
import torch

from ml.recipe import ModelFilesError
from ml.training.errors import TrainingError
from ml.training.loop import Run
from tests.ml.shapes import tiny_network
from tests.ml.training.runs import PLAN, PLANS, Interrupted, assert_same_bits, state, stop_in

pytestmark = pytest.mark.usefixtures("one_thread")


def read_file(folder):
    return torch.load(folder / "checkpoint.pt", weights_only=True)


@pytest.mark.parametrize("recipe", PLANS)
def test_a_run_that_was_stopped_ends_with_the_same_bits(begin, recipe):
    start = state(tiny_network())
    whole = begin(PLANS[recipe], "whole", start=start)
    whole.train()
    for epoch in (2, 3):  # stopped twice, each time before the epoch's checkpoint
        with pytest.raises(Interrupted):
            begin(PLANS[recipe], "stopped", start=start).train(stop_in(epoch))
    resumed = begin(PLANS[recipe], "stopped", start=start)
    resumed.train()
    assert_same_bits(state(resumed.learner.network), state(whole.learner.network))
    assert_same_bits(resumed.best.weights, whole.best.weights)
    assert [(epoch.loss, epoch.validation) for epoch in resumed.epochs] == [
        (epoch.loss, epoch.validation) for epoch in whole.epochs
    ]
    assert len((resumed.folder / "history.jsonl").read_text().splitlines()) == 3


def test_a_run_that_is_over_stays_as_it_is(begin):
    first = begin()
    first.train()
    again = begin()
    again.train(stop_in(4))
    assert again.is_finished
    assert len(again.epochs) == 3
    assert again.best.epoch == first.best.epoch
    assert_same_bits(again.best.weights, first.best.weights)


def test_a_run_of_an_older_version_goes_on(begin):
    """Plans have gained fields since; those that an old checkpoint does not name have their defaults."""
    run = begin()
    with pytest.raises(Interrupted):
        run.train(stop_in(2))
    old = read_file(run.folder)
    plan = json.loads(old["plan"])
    for name in ("minutes", "ema_warm_up", "l2_sp", "keep"):
        del plan[name]
    del plan["augmentation"]["turn"]
    del old["photos"], old["format"]
    for group in old["optimiser"]["param_groups"]:
        del group["initial_lr"]
    torch.save(old | {"plan": json.dumps(plan)}, run.folder / "checkpoint.pt")
    resumed = begin()
    resumed.resume()
    assert len(resumed.epochs) == 1
    resumed.train()
    whole = begin(folder="whole")
    whole.train()
    assert_same_bits(state(resumed.learner.network), state(whole.learner.network))


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"lr": 0.2, "seed": 2}, r"another plan \(lr, seed\)"), ({"keep": 0.5}, r"another plan \(keep\)")],
)
def test_a_folder_of_another_plan_is_refused(begin, changes, named):
    with pytest.raises(Interrupted):
        begin().train(stop_in(2))
    with pytest.raises(TrainingError, match=named):
        begin(dataclasses.replace(PLAN, **changes)).train()


def test_a_folder_of_other_pictures_is_refused(begin, photos, tmp_path):
    with pytest.raises(Interrupted):
        begin().train(stop_in(2))
    fewer = photos.draw_sample(len(photos.targets) - 4, seed=0)
    with pytest.raises(TrainingError, match="other pictures"):
        Run(tmp_path / "run", PLAN, tiny_network(), 8, fewer, photos).train()


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
        (lambda state: state | {"best": 5}, "is no checkpoint of a training run"),
        (lambda state: state | {"plan": "lr=1"}, "is no checkpoint of a training run"),
        (lambda state: state | {"epochs": [{"number": 0}]}, "is no checkpoint of a training run"),
        (lambda state: state | {"network": [1, 2]}, "is no checkpoint of a training run"),
        (lambda state: state | {"format": 2}, "says format = 2; this version of the code knows only 1"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused_by_name(begin, change, says):
    with pytest.raises(Interrupted):
        begin().train(stop_in(2))
    run = begin()
    path = run.folder / "checkpoint.pt"
    torch.save(change(read_file(run.folder)), path)
    with pytest.raises(ModelFilesError, match=says) as refused:
        run.train()
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("part", [0.0, 0.001, 0.5, 0.9, 0.999])
def test_a_checkpoint_that_is_cut_short_is_refused_by_name(begin, part):
    with pytest.raises(Interrupted):
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
