"""Which weights learn, at which rate, and how their average is taken."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ml.training.plan import Plan

Tensors = Sequence[Tensor]


def make_optimiser(
    network: nn.Module, loss: nn.Module, plan: Plan, pulled: Container[str] = ()
) -> torch.optim.Optimizer:
    """Return an optimiser in which `plan.head` and the loss learn at `plan.lr`, the other layers at a multiple of it.

    Weights named in `pulled` do not decay towards zero: they are drawn to where they started.
    """
    held = {id(parameter) for name, parameter in network.named_parameters() if name in pulled}
    groups = []
    trunk, head = _split_weights(network, plan.head)
    for parameters, lr in ((trunk, plan.lr * plan.trunk_lr), ([*head, *loss.parameters()], plan.lr)):
        moving = [parameter for parameter in parameters if parameter.requires_grad]
        # Biases and the scales of batch norms, which are vectors, do not decay: small ones make nothing simpler.
        for decays in (True, False):
            members = [each for each in moving if (each.ndim > 1 and id(each) not in held) == decays]
            groups.append({"params": members, "lr": lr, "weight_decay": plan.weight_decay if decays else 0.0})
    groups = [group for group in groups if group["params"]]
    if plan.optimiser == "adam":
        return torch.optim.Adam(groups)
    return torch.optim.SGD(groups, momentum=0.9, nesterov=True)


def _split_weights(network: nn.Module, head: Sequence[str]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return the weights outside the layers of the head, and those in them."""
    prefixes = tuple(f"{layer}." for layer in head)
    named = list(network.named_parameters())
    return [each for name, each in named if not name.startswith(prefixes)], [
        each for name, each in named if name.startswith(prefixes)
    ]


def make_average_update(decay: float, warm_up: bool) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Return a function that updates an exponential moving average of weights, as `AveragedModel` calls it.

    With `warm_up` the average follows the weights faster in the first steps: after n of them it keeps (1 + n) / (10 +
    n) of itself. So in a short run it is not mostly made of the weights it began with.
    """

    def update_average(averaged: Tensors, current: Tensors, steps: Tensor | int) -> None:
        now = min(decay, (1 + float(steps)) / (10 + float(steps))) if warm_up else decay
        get_ema_multi_avg_fn(now)(averaged, current, steps)  # type: ignore[no-untyped-call]

    return update_average


def freeze_layers(network: nn.Module, layers: tuple[str, ...], *, thawed: bool = False) -> None:
    """Stop these layers from learning, and keep their batch statistics as they are; where `thawed`, let them learn."""
    for name in layers:
        layer = network.get_submodule(name)
        layer.requires_grad_(thawed)
        # Even without gradients a batch norm in training mode would follow the statistics of the batches it sees.
        layer.train(thawed)
