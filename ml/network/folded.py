"""Trained weights whose batch normalisation was folded into the convolutions, made whole again, so that they can learn.

Folding multiplies a convolution by what its normalisation multiplies with, and leaves the rest as a bias. What
normalisation did to single batches is lost, but not the function, and a network learns on only with normalisation.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn


def read_folded_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file whose convolutions have biases; an empty dictionary for any other."""
    try:
        with safe_open(path, "pt") as file:
            names = set(file.keys())
            return {name: file.get_tensor(name).float() for name in names} if "conv1.bias" in names else {}
    except (SafetensorError, OSError):
        return {}


@torch.no_grad()
def unfold_normalisation(network: nn.Module, folded: Mapping[str, Tensor], pictures: Tensor) -> dict[str, Tensor]:
    """Give a torchvision ResNet the folded weights, and normalisation that changes nothing for `pictures`.

    Each normalisation subtracts the mean of what comes in and divides by its deviation, and its own scale and shift
    undo both and add the folded bias. Where a convolution is missing, it keeps its first weights and its normalisation
    scales what comes out to mean 0 and deviation 1. A last layer is taken where it fits. `pictures` are
    float32[N, 3, S, S], some hundred. Returns the weights that are trained now, normalisations' among them.
    """
    taken = {name: tensor for name, tensor in folded.items() if _is_weight(network, name, tensor)}
    network.load_state_dict(taken, strict=False)
    convolutions = dict(network.named_modules())
    handles, transparent = [], []
    for name, layer in convolutions.items():
        if isinstance(layer, nn.BatchNorm2d):
            convolution = name_convolution_before(name)
            bias = folded.get(f"{convolution}.bias") if f"{convolution}.weight" in folded else None
            handles.append(layer.register_forward_pre_hook(_make_transparent(bias)))
            transparent += [f"{name}.{part}" for part in layer.state_dict()] if bias is not None else []
    training = network.training
    network.eval()(pictures)
    network.train(training)
    for handle in handles:
        handle.remove()
    state = network.state_dict()
    return {name: state[name].clone() for name in (*taken, *transparent)}


def list_misfits(network: nn.Module, folded: Mapping[str, Tensor]) -> list[str]:
    """Return the convolutions that the network does not have in this shape: the weights are of another one."""
    names = [name for name in folded if name.endswith(".weight") and not name.startswith("fc.")]
    return [name for name in names if not _is_weight(network, name, folded[name])]


def name_convolution_before(norm: str) -> str:
    """Return the name of the convolution that a ResNet's normalisation of this name follows."""
    return norm.replace("bn", "conv") if "bn" in norm else norm.removesuffix("1") + "0"


def _is_weight(network: nn.Module, name: str, tensor: Tensor) -> bool:
    own = network.state_dict()
    takes = name.endswith(".weight") or name == "fc.bias"
    return takes and name in own and own[name].shape == tensor.shape


def _make_transparent(bias: Tensor | None) -> Any:
    """Return a hook that sets a normalisation by the first batch it meets, before it computes anything."""

    def set_statistics(layer: nn.BatchNorm2d, inputs: tuple[Tensor, ...]) -> None:
        variance, mean = torch.var_mean(inputs[0].float(), (0, 2, 3))
        state = {"running_mean": mean, "running_var": variance}
        if bias is not None:
            state |= {"weight": (variance + layer.eps).sqrt(), "bias": bias + mean}
        layer.load_state_dict(layer.state_dict() | state)

    return set_statistics
