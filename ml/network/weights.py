"""Where a network's weights come from. Never silently random: "untrained" must be asked for by name.

A weights file is safetensors, which cannot hold code, with the network's shape in its metadata.
"""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ml.atomic_files import open_atomic_file
from ml.errors import MlError
from ml.recipe import SOURCES

from . import resnet
from .resnet import Architecture, NoSuchNetworkError
from .torchvision_compat import import_torchvision

UNTRAINED_SEED = 1
METADATA = "network"  # a key whose value is JSON, because safetensors keeps nothing but text beside tensors
# A file's numbers must lie in these ranges before a network is made: nonsense could ask for more memory than there is.
RANGES: dict[str, tuple[float, float]] = {
    "dim": (1, 8192),
    "size": (8, 1024),
    "stages": (1, 4),
    "colours": (0, 8191),
    "colour_share": (0.0, 0.99),
    "colour_blur": (0.5, 100.0),
    "lightness": (0.0, 1.0),
    "constancy": (0.0, 1.0),
}
STARTER = Path(__file__).parents[1] / "starter" / "weights.safetensors"


class WeightsError(MlError):
    """The weights that were asked for do not exist, cannot be had here, or are damaged."""


@dataclass(frozen=True)
class LoadedNetwork:
    """A network in evaluation mode, its shape, and what is known about it (from the file's metadata)."""

    network: nn.Module
    architecture: Architecture
    about: dict[str, str]


def load_network(
    source: str, *, arch: str | None = None, dim: int | None = None, size: int | None = None
) -> LoadedNetwork:
    """A network with weights from `source`: one of `SOURCES` or the path of a weights file.

    `arch`, `dim` and `size` are of the network that is wanted. A file says itself which it holds, so there the
    first two are a check, and any size is taken; elsewhere None means ResNet-50, 1000 dimensions, 224 px.

    Raises:
        WeightsError: unknown source, a download that failed, a number outside `RANGES`, or a file that is damaged or of
            another shape.
        NoSuchNetworkError: unknown architecture.
    """
    wanted = {"arch": arch, "dim": dim, "size": size}
    architecture = Architecture(**{name: value for name, value in wanted.items() if value is not None})  # type: ignore[arg-type]
    refuse_numbers_out_of_range(architecture)
    if source in ("untrained", "imagenet"):
        network = (
            _make_untrained_network(architecture) if source == "untrained" else _load_imagenet_network(architecture)
        )
        return LoadedNetwork(network.eval(), architecture, {})
    path = weights_path(source)
    if source == "starter" and not path.exists():
        raise WeightsError(f"The starter weights are not in this installation: {path} is missing.")
    if not path.is_file():
        raise WeightsError(f"There are no weights {source!r}: neither one of {', '.join(SOURCES)} nor a file.")
    loaded = read_weights(path)
    for name, asked in (("arch", arch), ("dim", dim)):
        found = getattr(loaded.architecture, name)
        if asked is not None and asked != found:
            raise WeightsError(f"{path} holds a network with {name} {found}, not {asked}.")
    return loaded


def weights_name(source: str) -> str:
    """What a recipe calls weights from `source`: the word itself, or the file's name without its folder."""
    return source if source in SOURCES else Path(source).name


def weights_path(source: str) -> Path:
    """Where the weights file of `source` is, or would be: that of the starter, else `source` is its path."""
    return STARTER if source == "starter" else Path(source)


def write_weights(path: Path, network: nn.Module, architecture: Architecture, **about: str) -> None:
    """Write a weights file; matrices in float16, vectors in float32, because statistics exceed float16's range."""
    state = {name: _to_stored_type(tensor) for name, tensor in network.state_dict().items()}
    with open_atomic_file(path) as file:
        file.write(save(state, describe_network(architecture, **about)))


def describe_network(architecture: Architecture, **about: str) -> dict[str, str]:
    """The metadata of a weights file: one key, because the format does not keep their order."""
    return {METADATA: json.dumps({"architecture": architecture.as_dict(), **about}, sort_keys=True)}


def _to_stored_type(tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if tensor.is_floating_point() and tensor.ndim > 1 else tensor


def read_weights(path: Path) -> LoadedNetwork:
    """The network that a weights file holds, in float32.

    Raises:
        WeightsError: the file is no safetensors file, is cut short, does not fit the shape it names, or names a network
            that this version cannot make.
    """
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(METADATA, "")
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - safe_open gives no mapping
    except (SafetensorError, OSError) as exc:
        raise WeightsError(
            f"{path} is no complete safetensors file ({exc}). Checkpoints with pickled code are not taken; "
            "train or export the weights again."
        ) from exc
    architecture, about = _parse_description(path, text)
    refuse_numbers_out_of_range(architecture, str(path))
    try:
        network = resnet.create_network(architecture)
        if unlike := sorted(state.keys() ^ network.state_dict().keys()):
            raise WeightsError(
                f"{path} does not hold the {architecture} it names: {len(unlike)} tensors are missing or unknown, "
                f"{unlike[0]} among them. If another version of this project wrote it, train it again."
            )
        network.load_state_dict({name: _to_computed_type(tensor) for name, tensor in state.items()})
    except NoSuchNetworkError as exc:
        raise WeightsError(f"{path} names a network that cannot be made. {exc}") from exc
    except RuntimeError as exc:
        raise WeightsError(f"{path} does not hold the {architecture} it names: {_first_mismatch(exc)}") from exc
    return LoadedNetwork(network.eval(), architecture, about)


def _to_computed_type(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _parse_description(path: Path, text: str) -> tuple[Architecture, dict[str, str]]:
    try:
        about: dict[str, Any] = json.loads(text)
        return Architecture(**about.pop("architecture")), about
    except (ValueError, TypeError, AttributeError, KeyError) as exc:
        raise WeightsError(f"{path} does not say which network its weights are for; write it with `train`.") from exc


def refuse_numbers_out_of_range(architecture: Architecture, what: str = "The network that was asked for") -> None:
    """Raise WeightsError, with `what` as its subject, for a number outside `RANGES`."""
    for name, (least, most) in RANGES.items():
        value = getattr(architecture, name)
        if type(value) not in (int, type(least)) or not least <= value <= most:
            raise WeightsError(f"{what} has {name} {value!r}; it must be a number from {least} to {most}.")


def _first_mismatch(exc: RuntimeError) -> str:
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return lines[min(1, len(lines) - 1)]


def _make_untrained_network(architecture: Architecture) -> nn.Module:
    """The same bits on every run and machine; the caller's random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(UNTRAINED_SEED)
        return resnet.create_network(architecture)


def _load_imagenet_network(architecture: Architecture) -> nn.Module:
    network = resnet.create_network(architecture)
    weights = import_torchvision().models.get_model_weights(architecture.arch).DEFAULT
    categories = len(weights.meta["categories"])
    if architecture.dim != categories:
        raise WeightsError(f"ImageNet weights have {categories} dimensions, not {architecture.dim}.")
    try:
        state = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as exc:
        raise WeightsError(
            f"ImageNet weights are neither in {torch.hub.get_dir()}/checkpoints nor at {weights.url} ({exc}); "
            "connect to the network once, copy the file there, or take the starter weights, which are here."
        ) from exc
    network.load_state_dict(state)
    return network
