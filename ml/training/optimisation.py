"""Which weights move, how fast, and how the rate changes over a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from .plan import Plan

Tensors = Sequence[Tensor]


def optimiser_for(
    network: nn.Module, loss: nn.Module, plan: Plan, pulled: Container[str] = ()
) -> torch.optim.Optimizer:
    """The head and the loss learn at `plan.lr`, the other layers at a multiple.

    Vectors and scalars do not decay, nor do weights named in `pulled`: they are drawn to where they started.
    """
    held = {id(parameter) for name, parameter in network.named_parameters() if name in pulled}
    groups = []
    for parameters, lr in ((_trunk(network), plan.lr * plan.trunk_lr), (_head(network, loss), plan.lr)):
        moving = [parameter for parameter in parameters if parameter.requires_grad]
        for decays in (True, False):
            members = [each for each in moving if (each.ndim > 1 and id(each) not in held) == decays]
            groups.append({"params": members, "lr": lr, "weight_decay": plan.weight_decay if decays else 0.0})
    groups = [group for group in groups if group["params"]]
    if plan.optimiser == "adam":
        return torch.optim.Adam(groups)
    return torch.optim.SGD(groups, momentum=0.9, nesterov=True)


def _trunk(network: nn.Module) -> Iterator[nn.Parameter]:
    return (parameter for name, parameter in network.named_parameters() if not name.startswith("fc."))


def _head(network: nn.Module, loss: nn.Module) -> Iterator[nn.Parameter]:
    yield from (parameter for name, parameter in network.named_parameters() if name.startswith("fc."))
    yield from loss.parameters()


def rate(done: float, warm_up: float) -> float:
    """The multiple of a learning rate at this part of a run: a linear rise, then half a cosine to 0.

    Loshchilov & Hutter 2017 (cosine), Goyal et al. 2017 (warm-up).
    """
    if done < warm_up:
        return done / warm_up
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (done - warm_up) / (1 - warm_up))))


def moving_average(decay: float, warm_up: bool) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """An update of an exponential moving average of weights, as `AveragedModel` calls it.

    With `warm_up` it follows the weights faster in the first steps, (1 + n) / (10 + n) after n of them, so that in a
    short run the average is not mostly made of the weights it began with.
    """

    def update(averaged: Tensors, current: Tensors, steps: Tensor | int) -> None:
        now = min(decay, (1 + float(steps)) / (10 + float(steps))) if warm_up else decay
        get_ema_multi_avg_fn(now)(averaged, current, steps)  # type: ignore[no-untyped-call]

    return update


def freeze(network: nn.Module, layers: tuple[str, ...]) -> None:
    """Stop these layers from learning; their batch statistics stay as they are too."""
    for name in layers:
        layer = network.get_submodule(name)
        layer.requires_grad_(False)
        layer.eval()
