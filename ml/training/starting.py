"""The network a run starts from: trained weights with, where it is needed, another head."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ml.inference.arrays import resize_and_crop
from ml.network import resnet
from ml.network.folded import list_misfits, read_folded_weights, unfold_normalisation
from ml.network.resnet import Architecture, normalise_pixels
from ml.network.weights import WeightsError, load_network, refuse_numbers_out_of_range

from .data.pixels import PixelCache

STATISTICS = 256  # pictures by which normalisation is set where weights come without


@dataclass(frozen=True)
class StartingNetwork:
    """A network, its shape, its trained weights by their names, and a line on what is new in it.

    The weights of a new head are not among the trained ones. `folded` holds weights that can only be taken once there
    are pictures: see `ml.network.folded`.
    """

    network: nn.Module
    architecture: Architecture
    trained: dict[str, Tensor]
    note: str
    folded: dict[str, Tensor] = field(default_factory=dict)

    def take_folded_weights(self, pixels: PixelCache) -> dict[str, Tensor]:
        """Give the network its folded weights, if it has any, by some of the pictures that it will learn from.

        Returns its trained weights by their names, whichever way they came.
        """
        if not self.folded:
            return self.trained
        chosen = np.random.default_rng(1).permutation(len(pixels))[:STATISTICS]
        views = np.stack([resize_and_crop(pixels.picture(i), self.architecture.size) for i in chosen])
        return unfold_normalisation(self.network, self.folded, normalise_pixels(torch.from_numpy(views)))


def make_starting_network(
    source: str, *, arch: str | None, dim: int | None, size: int | None, pooling: str, seed: int
) -> StartingNetwork:
    """Return a network with weights from `source`, as `ml.network.weights.load_network` names it, and `dim` dimensions.

    Where an argument is None the weights decide. `pooling` is for weights that this package did not train; those of a
    weights file keep the pooling they were trained with. The weights of a new head follow from `seed`.

    Raises:
        WeightsError, NoSuchNetworkError: see `ml.network.weights`.
    """
    if source == "untrained":
        architecture = Architecture(arch or "resnet50", dim or 1000, pooling, size or 224)
        return StartingNetwork(_create_seeded_network(architecture, seed), architecture, {}, "nothing is trained yet")
    if folded := read_folded_weights(Path(source)):
        architecture = Architecture(arch or "resnet18", dim or 1000, pooling, size or 224)
        network = _create_seeded_network(architecture, seed)
        if misfits := list_misfits(network, folded):
            raise WeightsError(
                f"{source} is of another network than {architecture.arch}, which has no {misfits[0]} like its."
            )
        note = "" if "fc.weight" in folded and folded["fc.weight"].shape[0] == architecture.dim else "with a new head"
        return StartingNetwork(network, architecture, {}, note, folded)
    loaded = load_network(source, arch=arch)
    found = loaded.architecture
    architecture = replace(
        found,
        dim=dim or found.dim,
        size=size or found.size,
        pooling=pooling if source == "imagenet" else found.pooling,
    )
    network = _create_seeded_network(architecture, seed)
    trained = take_fitting_weights(network, loaded.network)
    note = "" if architecture.dim == found.dim else f"a new head, {architecture.dim} dimensions in place of {found.dim}"
    return StartingNetwork(network, architecture, trained, note)


def _create_seeded_network(architecture: Architecture, seed: int) -> resnet.ResNet:
    refuse_numbers_out_of_range(architecture)
    torch.manual_seed(seed)  # first weights come from torch's generator, and a run must repeat
    return resnet.create_network(architecture)


def take_fitting_weights(network: nn.Module, trained: nn.Module) -> dict[str, Tensor]:
    """Give `network` the weights of `trained` that have a name and a shape of its own, and return them."""
    mine = network.state_dict()
    fitting = {
        name: tensor
        for name, tensor in trained.state_dict().items()
        if name in mine and mine[name].shape == tensor.shape
    }
    network.load_state_dict(mine | fitting)
    return fitting
