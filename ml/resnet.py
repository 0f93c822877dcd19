"""The network: a torchvision ResNet whose last layer gives the vector. Needs torch; inference does not."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import normalize

from .torchvision_compat import import_torchvision

ARCHITECTURES = ("resnet50",)


class NoSuchNetworkError(ValueError):
    """A network of this name or size cannot be made."""


def create(arch: str, dim: int) -> nn.Module:
    """A network float32[N, 3, S, S] -> float32[N, dim], not normalised, its weights drawn from torch's generator.

    Raises:
        NoSuchNetworkError: `arch` is not in `ARCHITECTURES`, or `dim` is below 1.
    """
    if arch not in ARCHITECTURES:
        raise NoSuchNetworkError(f"Unknown architecture {arch!r}; known: {', '.join(ARCHITECTURES)}.")
    if dim < 1:
        raise NoSuchNetworkError(f"A vector has at least 1 dimension, not {dim}.")
    return import_torchvision().models.get_model(arch, weights=None, num_classes=dim)


class UnitLength(nn.Module):
    """A network whose rows are scaled to length 1; a zero row stays zero."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        """float32[N, 3, S, S] -> float32[N, dim]."""
        return normalize(self.network(pictures))
