"""Where a network's weights come from. Never silently random: "untrained" must be asked for by name."""

from __future__ import annotations

import pickle

import torch
from torch import nn

from . import resnet
from .errors import MlError
from .torchvision_compat import import_torchvision

UNTRAINED_SEED = 1
SOURCES = ("untrained", "imagenet")


class WeightsError(MlError):
    """The weights that were asked for do not exist or cannot be had here."""


def network_with(source: str, arch: str, dim: int) -> nn.Module:
    """A network in evaluation mode with weights from `source`, one of `SOURCES`.

    Raises:
        WeightsError: unknown source, a dimension the weights do not have, or a download that failed.
        NoSuchNetworkError: unknown architecture, or no dimensions.
    """
    if source == "untrained":
        network = _untrained(arch, dim)
    elif source == "imagenet":
        network = _imagenet(arch, dim)
    else:
        raise WeightsError(f"Unknown weights {source!r}; known: {', '.join(SOURCES)}.")
    return network.eval()


def _untrained(arch: str, dim: int) -> nn.Module:
    """The same bits on every run and machine; the caller's random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(UNTRAINED_SEED)
        return resnet.create(arch, dim)


def _imagenet(arch: str, dim: int) -> nn.Module:
    network = resnet.create(arch, dim)
    weights = import_torchvision().models.get_model_weights(arch).DEFAULT
    if dim != len(weights.meta["categories"]):
        raise WeightsError(f"ImageNet weights have {len(weights.meta['categories'])} dimensions, not {dim}.")
    try:
        state = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as exc:
        raise WeightsError(
            f"ImageNet weights are neither in {torch.hub.get_dir()}/checkpoints nor at {weights.url} ({exc}); "
            "connect to the network once, or copy the file there."
        ) from exc
    network.load_state_dict(state)
    return network
