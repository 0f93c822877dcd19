"""Two ways to keep a network from forgetting.

Fine-tuning on a few kinds of goods makes it forget what tells all others apart.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn


@torch.no_grad()
def add_l2_sp_gradient(network: nn.Module, start: Mapping[str, Tensor], strength: float) -> None:
    """Add the gradient of strength / 2 * |w - start|² (L2-SP) to every weight w that learns and is in `start`.

    Li, Grandvalet & Davoine, "Explicit Inductive Bias for Transfer Learning with Convolutional Networks" (ICML 2018).
    """
    for name, weight in network.named_parameters():
        if weight.grad is not None and name in start:
            weight.grad.add_(weight - start[name], alpha=strength)


def interpolate_weights(network: nn.Module, start: Mapping[str, Tensor], keep: float) -> nn.Module:
    """Return a copy whose weights and statistics are keep * start + (1 - keep) * own, where `start` has them.

    Wortsman et al., "Robust fine-tuning of zero-shot models" (CVPR 2022).
    """
    mixed = copy.deepcopy(network)
    state = mixed.state_dict()
    for name in start.keys() & state.keys():
        # Counters, such as how many batches a batch norm has seen, are whole numbers and cannot be mixed.
        if state[name].is_floating_point():
            state[name].lerp_(start[name], keep)
    return mixed
