"""Pixels in, unit vectors out, on torch: for a GPU, and for a processor that OpenVINO does not know.

It has the surface of `ml.inference.embedder.Embedder` and reads the same model directory. Load it after a fork.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ml.errors import find_cause_line
from ml.network.resnet import UnitLength
from ml.network.weights import WeightsError, read_weights
from ml.recipe import WEIGHTS, ModelFilesError, Recipe

from .arrays import Pixels, Vectors, require_pixel_shape, resize_and_crop
from .cores import count_usable_cores

logger = logging.getLogger(__name__)

SHAPES = (16, 256)  # pictures in one inference; a compiled graph is of one shape, so blank ones fill the rest
MIN_COSINE = 0.99  # least cosine to the vectors of float32, on noise: an export asks the same of its graph


class TorchEmbedder:
    """One loaded model. `embed` may be called from several threads; one of them at a time computes."""

    def __init__(self, recipe: Recipe, precision: str, network: Callable[[Tensor], Tensor], device: str) -> None:
        self.version = recipe.version
        self.dim = recipe.dim
        self.size = recipe.size
        self.recipe = recipe.as_dict()
        self.precision = precision
        self._network, self._device = network, device
        # Two threads, so that one batch is copied to the device while the other is computed.
        self._batches = ThreadPoolExecutor(2, thread_name_prefix="embedder")
        self._computing = threading.Lock()

    @classmethod
    def load(cls, directory: str | Path, *, device: str | None = None, precision: str | None = None) -> TorchEmbedder:
        """Verify the model in `directory`, move it to `device`, compile it there, and compare it with float32.

        Args:
            device: `cuda` or `cpu`, a GPU where there is one when None; on the processor nothing is compiled, and
                everything is computed in float32, on all cores this process may use.
            precision: `bf16` or `f32`; the recipe's when None, where a model in 8 bits is computed in bf16.

        Raises:
            ModelFilesError: a file is missing, damaged or older than this runtime, torch finds no GPU, or the vectors
                are not those of float32.
        """
        directory = Path(directory)
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        if device == "cuda" and not torch.cuda.is_available():
            raise ModelFilesError(
                "This build of torch finds no GPU; install one for CUDA, or set EMBED_RUNTIME=openvino."
            )
        torch.set_num_threads(count_usable_cores())
        recipe = Recipe.read(directory)
        recipe.verify_files(directory, (WEIGHTS,))
        try:
            network = _FromPixels(read_weights(directory / WEIGHTS).network, recipe)
        except WeightsError as exc:
            raise ModelFilesError(f"{directory} cannot be loaded by torch: {exc}") from exc
        network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        exact = cls(recipe, "f32", network, device)
        precision = precision or ("f32" if device == "cpu" or recipe.precision == "f32" else "bf16")
        if precision == "f32":
            return exact
        embedder = cls(recipe, precision, _compile_network(_InBf16(network), recipe, device), device)
        embedder._refuse_disagreement(exact)
        return embedder

    def prepare(self, image: Image.Image) -> Pixels:
        """The network's input for a *clean* picture: uint8[size, size, 3]."""
        return resize_and_crop(image, self.size)

    def embed(self, batch: Pixels) -> Vectors:
        """uint8[N, size, size, 3] to float32[N, dim], each row of length 1; see `ml.inference.arrays.is_indexable`.

        Raises:
            ValueError: the batch has another shape or type.
        """
        require_pixel_shape(batch, self.size)
        parts = [self._infer_vectors(batch[start : start + SHAPES[-1]]) for start in range(0, len(batch), SHAPES[-1])]
        return np.concatenate([np.empty((0, self.dim), np.float32), *parts])

    def submit(self, batch: Pixels) -> Future[Vectors]:
        """`embed` beside the caller's work: `batch` must stay unchanged until the future is done."""
        return self._batches.submit(self.embed, batch)

    def _infer_vectors(self, part: Pixels) -> Vectors:
        staged = torch.zeros((_padded_batch_size(len(part)), self.size, self.size, 3), dtype=torch.uint8)
        staged[: len(part)] = torch.from_numpy(np.ascontiguousarray(part))
        if self._device == "cuda":
            # Only from pinned memory can the device copy while this thread goes on.
            staged = staged.pin_memory()
        with self._computing, torch.inference_mode():
            found = self._network(staged.to(self._device, non_blocking=True))
            return found[: len(part)].float().cpu().numpy()

    def _refuse_disagreement(self, exact: TorchEmbedder) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (SHAPES[0], self.size, self.size, 3), dtype=np.uint8)
        cosine = float((self.embed(noise) * exact.embed(noise)).sum(axis=1).min())
        # `cosine < MIN_COSINE` would admit NaN, which is not below any number.
        if not cosine >= MIN_COSINE:
            raise ModelFilesError(
                f"{self.version} computed in {self.precision} on {self._device} agrees with float32 to cosine "
                f"{cosine:.4f}, below {MIN_COSINE}; set EMBED_RUNTIME=openvino."
            )


class _FromPixels(nn.Module):
    """uint8[N, S, S, 3] -> float32[N, dim] of length 1, batch norm folded into the convolution before it."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.network = UnitLength(fold_batch_norms(network)).eval()
        self.register_buffer("mean", torch.tensor(recipe.mean))
        self.register_buffer("std", torch.tensor(recipe.std))

    def forward(self, pictures: Tensor) -> Tensor:
        # The network wants the channels of a pixel side by side in memory, as they are, so permuting copies nothing.
        scaled = (pictures.float() - self.mean) / self.std
        vectors: Tensor = self.network(scaled.permute(0, 3, 1, 2))
        return vectors


class _InBf16(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        with torch.autocast(pictures.device.type, dtype=torch.bfloat16):
            return self.network(pictures)


def fold_batch_norms(network: nn.Module) -> nn.Module:
    """`network`, in evaluation mode, changed in place: each batch norm becomes part of the convolution before it."""
    for module in network.modules():
        children = list(module.named_children())
        for (name, before), (after, norm) in pairwise(children):
            if isinstance(before, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(before, norm))
                setattr(module, after, nn.Identity())
    return network


def _compile_network(network: nn.Module, recipe: Recipe, device: str) -> Callable[[Tensor], Tensor]:
    """Compiled for each of `SHAPES` on a GPU; uncompiled where that fails: it takes a C compiler."""
    if device == "cpu":
        return network
    compiled = torch.compile(network, dynamic=False)
    try:
        with torch.inference_mode():
            for pictures in SHAPES:
                compiled(torch.zeros((pictures, recipe.size, recipe.size, 3), dtype=torch.uint8, device=device))
    except RuntimeError as exc:
        logger.warning("torch cannot compile %s here, it runs uncompiled: %s", recipe.version, find_cause_line(exc))
        return network
    return compiled


def _padded_batch_size(pictures: int) -> int:
    return next(shape for shape in SHAPES if shape >= pictures)
