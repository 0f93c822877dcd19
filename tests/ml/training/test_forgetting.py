"""What keeps a fine-tuned network near the one it began as: L2-SP, interpolation, slow or frozen layers, averages."""

import copy
import dataclasses
from typing import Any

import pytest
import torch

from ml.folders.photo_set import read_photo_set
from ml.training.data.photo_pixels import decode_photos
from ml.training.learning.forgetting import add_l2_sp_gradient, interpolate_weights
from ml.training.learning.loss import make_loss
from ml.training.learning.optimisation import make_average_update, make_optimiser
from ml.training.learning.schedule import rate_factor
from ml.training.loop import Run
from ml.training.plan import CLASSIFY, METRIC, RECIPES
from tests.ml.shapes import draw_shapes, tiny_network

PLAN = dataclasses.replace(METRIC, epochs=2, batch=8, sizes=((1.0, 24),), ema=0, lr=0.05)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    return decode_photos(dataclasses.replace(read_photo_set(draw_shapes(folder)), groups=None), 32, folder / "cache")


def trained(photos, folder, **changes):
    """A run from the tiny network, all of whose weights but the head's are worth keeping, and these weights."""
    network = tiny_network()
    start = {name: tensor.clone() for name, tensor in network.state_dict().items() if not name.startswith("fc.")}
    run = Run(folder, dataclasses.replace(PLAN, **changes), network, 8, photos, start=start)
    run.train()
    return run, start


def distance(network, start):
    state = network.state_dict()
    return sum(float((state[name] - tensor).square().sum()) for name, tensor in start.items() if "weight" in name)


def test_the_pull_is_the_gradient_of_half_the_squared_distance():
    network = tiny_network()
    start = {name: weight.detach() + 0.1 * torch.randn_like(weight) for name, weight in network.named_parameters()}
    del start["fc.bias"]
    pixels = torch.rand(4, 3, 24, 24)
    network(pixels).sum().backward()
    pulled = copy.deepcopy({name: weight.grad for name, weight in network.named_parameters()})
    add_l2_sp_gradient(network, start, 0.7)
    pulled, expected = ({name: w.grad for name, w in network.named_parameters()}, pulled)
    for name, weight in network.named_parameters():
        gap = weight.detach() - start[name] if name in start else 0.0
        torch.testing.assert_close(pulled[name], expected[name] + 0.7 * gap)


def test_layers_that_do_not_learn_are_not_pulled():
    network = tiny_network()
    network.conv1.requires_grad_(False)
    network(torch.rand(4, 3, 24, 24)).sum().backward()
    add_l2_sp_gradient(network, {"conv1.weight": torch.zeros(8, 3, 3, 3)}, 1.0)
    assert network.conv1.weight.grad is None


def test_a_pulled_run_stays_nearer_to_its_start(photos, tmp_path):
    free, start = trained(photos, tmp_path / "free", trunk_lr=1.0)
    pulled, _ = trained(photos, tmp_path / "pulled", trunk_lr=1.0, l2_sp=3.0)
    assert distance(pulled.learner.network, start) < 0.7 * distance(free.learner.network, start)


def test_a_pulled_weight_does_not_decay_to_zero_too():
    network = tiny_network()
    loss = make_loss(PLAN, [4], 8)

    def decay(pulled):
        groups = make_optimiser(network, loss, PLAN, pulled).param_groups
        return {id(weight): group["weight_decay"] for group in groups for weight in group["params"]}

    conv1, fc = id(network.conv1.weight), id(network.fc.weight)
    assert decay(())[conv1] == decay(())[fc] == PLAN.weight_decay
    assert decay({"conv1.weight"})[conv1] == 0
    assert decay({"conv1.weight"})[fc] == PLAN.weight_decay


@pytest.mark.parametrize("keep", [0.25, 0.6])
def test_the_result_lies_between_start_and_end(photos, tmp_path, keep):
    run, start = trained(photos, tmp_path / "run", keep=keep)
    end = run.learner.network.state_dict()
    for name, tensor in run.learner.result.state_dict().items():
        if name in start and tensor.is_floating_point():
            torch.testing.assert_close(tensor, keep * start[name] + (1 - keep) * end[name])
        else:
            assert torch.equal(tensor, end[name])
    assert not torch.equal(run.learner.result.bn1.running_mean, end["bn1.running_mean"])


def test_what_is_judged_and_kept_is_the_interpolated_network(photos, tmp_path):
    network = tiny_network()
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    run = Run(tmp_path / "run", dataclasses.replace(PLAN, keep=0.5), network, 8, photos, photos, start=start)
    run.train()
    mixed = interpolate_weights(run.learner.network, start, 0.5).state_dict()
    if run.best.epoch == 1:
        assert all(torch.equal(run.best.weights[name], mixed[name]) for name in mixed)
    from ml.training.validation.retrieval import judge_network

    judged = judge_network(run.learner.result, photos, 24, torch.device("cpu"))
    assert judged.figures == run.epochs[-1].validation


def test_interpolation_leaves_its_arguments_alone():
    network = tiny_network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    mixed: Any = interpolate_weights(network, {name: tensor + 1 for name, tensor in before.items()}, 1.0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    torch.testing.assert_close(mixed.fc.weight.detach(), before["fc.weight"] + 1)


def test_the_trunk_learns_at_its_own_rate():
    network, loss = tiny_network(), make_loss(PLAN, [4], 8)
    rates: dict[int, float] = {}
    for group in make_optimiser(network, loss, dataclasses.replace(PLAN, lr=0.1, trunk_lr=0.02)).param_groups:
        rates |= {id(weight): group["lr"] for weight in group["params"]}
    assert rates[id(network.conv1.weight)] == rates[id(network.avgpool.p)] == pytest.approx(0.002)
    assert rates[id(network.fc.weight)] == rates[id(next(loss.parameters()))] == pytest.approx(0.1)


def test_vectors_and_scalars_do_not_decay():
    network = tiny_network()
    for group in make_optimiser(network, make_loss(CLASSIFY, [4], 8), CLASSIFY).param_groups:
        for weight in group["params"]:
            assert group["weight_decay"] == (CLASSIFY.weight_decay if weight.ndim > 1 else 0)


def test_an_average_that_warms_up_follows_its_first_steps():
    def after(steps, warm_up):
        averaged, current = [torch.zeros(1)], [torch.ones(1)]
        for step in range(1, steps + 1):
            make_average_update(0.998, warm_up)(averaged, current, torch.tensor(step))
        return float(averaged[0])

    assert after(30, warm_up=False) == pytest.approx(1 - 0.998**30, abs=1e-4)
    assert after(30, warm_up=True) > 0.99


def test_rates_rise_and_fall_to_nothing():
    assert [rate_factor(done, 0.1) for done in (0.0, 0.05, 0.1, 0.55, 1.0)] == pytest.approx([0, 0.5, 1, 0.5, 0])
    assert rate_factor(0.0, 0.0) == 1
    assert rate_factor(1.5, 0.1) == 0


def test_recipes_are_known_by_their_names_and_start_from_trained_weights():
    assert [plan.recipe for plan in RECIPES.values()] == list(RECIPES) == ["metric", "classify", "distil"]
    assert RECIPES["metric"].ema_warm_up
    assert RECIPES["metric"].l2_sp == 0.1
    assert RECIPES["classify"].frozen == ("conv1", "bn1", "layer1", "layer2", "layer3")
