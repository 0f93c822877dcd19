"""Gives a trained network its colour part: the last step of making the starter weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ml import resnet
from ml.resnet import Architecture, ResNet
from ml.training.pixels import PixelCache

from .mask import train_mask
from .palette import palette


def coloured(form: nn.Module, shape: Architecture, photos: PixelCache, *, scenes: int, seed: int) -> ResNet:
    """`shape` with the layers of `form`, a network without colours, and a mask and bins learned from `photos`."""
    network = resnet.create(shape)
    state = dict(form.state_dict())
    state["fc.weight"], state["fc.bias"] = narrowed(state["fc.weight"], state["fc.bias"], shape.dim - shape.colours)
    network.load_state_dict(state, strict=False)
    network.colour.centres.copy_(palette(photos, shape.colours, seed=seed))
    train_mask(network, photos, shape.size, scenes=scenes, epochs=8, seed=seed)
    return network


def narrowed(weight: Tensor, bias: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """A linear layer float32[D, features] as one of `dim` outputs with the same inner products between its outputs.

    They lie in a space of features + 1 dimensions, so nothing is lost while `dim` is at least that.
    """
    if dim < weight.shape[1] + 1:
        raise ValueError(f"{weight.shape[1]} features and a bias need {weight.shape[1] + 1} dimensions, not {dim}.")
    basis, _ = torch.linalg.qr(torch.cat([weight, bias[:, None]], dim=1).double())  # [D, features + 1]
    turn, _ = torch.linalg.qr(torch.randn(dim, basis.shape[1], generator=torch.Generator().manual_seed(1)).double())
    isometry = turn @ basis.T  # onto all of the new coordinates rather than the first few
    return (isometry @ weight.double()).float(), (isometry @ bias.double()).float()
