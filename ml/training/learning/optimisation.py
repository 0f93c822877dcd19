"""Which weights learn, at which rate, and how their average is taken."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ml.training.plan import Plan

Tensors = Sequence[Tensor]


def make_optimiser(
    network: nn.Module, loss: nn.Module, plan: Plan, pulled: Container[str] = ()
) -> torch.optim.Optimizer:
    """Return an optimiser in which the head and the loss learn at `plan.lr`, the other layers at a multiple of it.

    Weights named in `pulled` do not decay towards zero: they are drawn to where they started.
    """
    held = {id(parameter) for name, parameter in network.named_parameters() if name in pulled}
    groups = []
    for parameters, lr in ((_trunk_weights(network), plan.lr * plan.trunk_lr), (_head_weights(network, loss), plan.lr)):
        moving = [parameter for parameter in parameters if parameter.requires_grad]
        # Biases and the scales of batch norms, which are vectors, do not decay: small ones make nothing simpler.
        for decays in (True, False):
            members = [each for each in moving if (each.ndim > 1 and id(each) not in held) == decays]
            groups.append({"params": members, "lr": lr, "weight_decay": plan.weight_decay if decays else 0.0})
    groups = [group for group in groups if group["params"]]
    if plan.optimiser == "adam":
        return torch.optim.Adam(groups)
    return torch.optim.SGD(groups, momentum=0.9, nesterov=True)


def _trunk_weights(network: nn.Module) -> Iterator[nn.Parameter]:
    return (parameter for name, parameter in network.named_parameters() if not name.startswith("fc."))


def _head_weights(network: nn.Module, loss: nn.Module) -> Iterator[nn.Parameter]:
    yield from (parameter for name, parameter in network.named_parameters() if name.startswith("fc."))
    yield from loss.parameters()


def make_average_update(decay: float, warm_up: bool) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Return a function that updates an exponential moving average of weights, as `AveragedModel` calls it.

    With `warm_up` the average follows the weights faster in the first steps: after n of them it keeps (1 + n) / (10 +
    n) of itself. So in a short run it is not mostly made of the weights it began with.
    """

    def update_average(averaged: Tensors, current: Tensors, steps: Tensor | int) -> None:
        now = min(decay, (1 + float(steps)) / (10 + float(steps))) if warm_up else decay
        get_ema_multi_avg_fn(now)(averaged, current, steps)  # type: ignore[no-untyped-call]

    return update_average


def freeze_layers(network: nn.Module, layers: tuple[str, ...]) -> None:
    """Stop these layers from learning, and keep their batch statistics as they are."""
    for name in layers:
        layer = network.get_submodule(name)
        layer.requires_grad_(False)
        # Even without gradients a batch norm in training mode would follow the statistics of the batches it sees.
        layer.eval()
