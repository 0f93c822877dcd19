"""Fine-tuning on a few kinds of goods makes a network forget what tells all others apart; two ways against it."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn


@torch.no_grad()
def pull_back(network: nn.Module, start: Mapping[str, Tensor], strength: float) -> None:
    """Add the gradient of L2-SP, strength / 2 * |w - start|², to every weight that learns and is in `start`.

    Li, Grandvalet & Davoine, "Explicit Inductive Bias for Transfer Learning with Convolutional Networks" (ICML 2018).
    """
    for name, weight in network.named_parameters():
        if weight.grad is not None and name in start:
            weight.grad.add_(weight - start[name], alpha=strength)


def interpolated(network: nn.Module, start: Mapping[str, Tensor], keep: float) -> nn.Module:
    """A copy with weights and statistics keep * start + (1 - keep) * own, where `start` has them.

    Wortsman et al., "Robust fine-tuning of zero-shot models" (CVPR 2022).
    """
    mixed = copy.deepcopy(network)
    state = mixed.state_dict()
    for name in start.keys() & state.keys():
        if state[name].is_floating_point():
            state[name].lerp_(start[name], keep)
    return mixed
