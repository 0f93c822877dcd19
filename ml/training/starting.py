"""The network a run starts from: trained weights with, where it is needed, another head."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ml.network import resnet
from ml.network.resnet import Architecture
from ml.network.weights import network_with, refuse_nonsense


@dataclass(frozen=True)
class StartingNetwork:
    """A network, its shape, its trained weights by name (without a new head's), and a line on what is new in it."""

    network: nn.Module
    architecture: Architecture
    trained: dict[str, Tensor]
    note: str


def starting_network(
    source: str, *, arch: str | None, dim: int | None, size: int | None, pooling: str, seed: int
) -> StartingNetwork:
    """A network with weights from `source`, as `ml.network.weights.network_with` names it, and `dim` dimensions.

    Where None is given the weights decide. `pooling` is for weights that were not trained by this package: a weights
    file's own is kept. A new head's weights follow from `seed`.

    Raises:
        WeightsError, NoSuchNetworkError: see `ml.network.weights`.
    """
    if source == "untrained":
        torch.manual_seed(seed)
        architecture = Architecture(arch or "resnet50", dim or 1000, pooling, size or 224)
        refuse_nonsense(architecture)
        return StartingNetwork(resnet.create(architecture), architecture, {}, "nothing is trained yet")
    loaded = network_with(source, arch=arch)
    found = loaded.architecture
    architecture = replace(
        found,
        dim=dim or found.dim,
        size=size or found.size,
        pooling=pooling if source == "imagenet" else found.pooling,
    )
    refuse_nonsense(architecture)
    torch.manual_seed(seed)
    network = resnet.create(architecture)
    mine = network.state_dict()
    trained = {
        name: tensor for name, tensor in loaded.network.state_dict().items() if _has_same_shape(mine, name, tensor)
    }
    network.load_state_dict(mine | trained)
    note = "" if architecture.dim == found.dim else f"a new head, {architecture.dim} dimensions in place of {found.dim}"
    return StartingNetwork(network, architecture, trained, note)


def _has_same_shape(state: dict[str, Tensor], name: str, tensor: Tensor) -> bool:
    return name in state and state[name].shape == tensor.shape
