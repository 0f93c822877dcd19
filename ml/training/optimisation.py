"""Which weights move, how fast, and how the rate changes over a run."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import nn

from .plan import Plan


def optimiser_for(network: nn.Module, loss: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """The head and the loss learn at `plan.lr`, the other layers at a multiple; vectors and scalars do not decay."""
    groups = []
    for parameters, lr in ((_trunk(network), plan.lr * plan.trunk_lr), (_head(network, loss), plan.lr)):
        moving = [parameter for parameter in parameters if parameter.requires_grad]
        for decays in (True, False):
            members = [parameter for parameter in moving if (parameter.ndim > 1) == decays]
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


def freeze(network: nn.Module, layers: tuple[str, ...]) -> None:
    """Stop these layers from learning; their batch statistics stay as they are too."""
    for name in layers:
        layer = network.get_submodule(name)
        layer.requires_grad_(False)
        layer.eval()
