"""Makes a model directory of weights: the weights, an inference graph, the recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from ml.folders.trained_photos import read_trained_photos, write_trained_photos
from ml.inference.arrays import Pixels, Vectors
from ml.inference.calibration.files import read_calibration, write_calibration
from ml.inference.embedder import Embedder
from ml.inference.openvino_runtime import import_openvino
from ml.network.resnet import UnitLength
from ml.network.weights import LoadedNetwork, describe_network, load_network, weights_name, weights_path
from ml.recipe import GRAPH, WEIGHTS, ModelFilesError, Recipe, file_sha256

from .graph import add_preprocessing, convert_network
from .model_directory import refuse_existing_directory, write_model_directory
from .precision import choose_and_record_precision, read_picture_sample
from .quantisation import LAST_STAGE, quantise_graph

# The exported graph must agree with torch on pictures of noise: least cosines, in float32 and at the precision that the
# model will run with. The second is looser because bf16 alone takes 0.002 off the cosines of a starter model: noise
# averages to one grey, which is where bf16 moves colours most.
MIN_AGREEMENT = 0.999
MIN_AGREEMENT_AS_RUN = 0.99


def build_model(
    directory: str | Path,
    version: str,
    *,
    weights: str = "untrained",
    arch: str | None = None,
    dim: int | None = None,
    size: int | None = None,
    photos: Sequence[Path] = (),
) -> Recipe:
    """Write the model `version` to `directory`, which must not exist; `arch`, `dim`, `size` are as for `load_network`.

    With enough `photos`, files of the kind it will see, its precision is the lowest that agrees with float32 on them.

    Raises:
        ModelFilesError: `directory` exists, or the graph does not agree with the network.
        WeightsError, NoSuchNetworkError: see `ml.network.weights`.
    """
    directory = Path(directory)
    refuse_existing_directory(directory)
    loaded = load_network(weights, arch=arch, dim=dim, size=size)
    shape, network = loaded.architecture, loaded.network
    with write_model_directory(directory) as part:
        recipe = Recipe(
            version, shape.arch, shape.dim, weights_name(weights), sha256="", files={}, size=size or shape.size
        )
        graph = convert_network(network, recipe.size)
        recipe = _write_model(part, loaded, graph, recipe)
        _check_agreement(part, network, recipe)
        in_8_bits = {
            name: partial(quantise_graph, graph, recipe=recipe, kept=kept)
            for name, kept in (("int8", ()), ("int8 but layer4", (LAST_STAGE,)))
        }
        recipe = choose_and_record_precision(part, recipe, read_picture_sample(photos, recipe.size), in_8_bits)
        _take_companions_along(weights, part, is_own_size=recipe.size == shape.size)
    return recipe


def _write_model(part: Path, loaded: LoadedNetwork, graph: Any, recipe: Recipe) -> Recipe:
    # safetensors refuses tensors that do not lie in memory in one piece and in order, such as those with channels last.
    state = {name: tensor.contiguous() for name, tensor in loaded.network.state_dict().items()}
    save_file(state, part / WEIGHTS, describe_network(loaded.architecture))
    # By default OpenVINO halves weights to 16 bits, and this graph is what other precisions are compared with.
    import_openvino().save_model(add_preprocessing(graph.clone(), recipe), part / GRAPH[0], compress_to_fp16=False)
    files = {name: file_sha256(part / name) for name in (WEIGHTS, *GRAPH)}
    recipe = dataclasses.replace(recipe, sha256=files[WEIGHTS], files=files)
    recipe.write(part)
    return recipe


def _take_companions_along(weights: str, part: Path, *, is_own_size: bool) -> None:
    """Copy what lies beside the weights: which photos they learned from, and what their cosines mean at their size."""
    source = weights_path(weights)
    write_trained_photos(part / WEIGHTS, read_trained_photos(source))
    curve = read_calibration(source) if is_own_size else None
    if curve is not None:
        write_calibration(part / WEIGHTS, curve)


def _check_agreement(part: Path, network: nn.Module, recipe: Recipe) -> None:
    """Admit the graph only if it computes what the network computes, closely also at the precision it will run with."""
    pictures = np.random.default_rng(0).integers(0, 256, (4, recipe.size, recipe.size, 3), dtype=np.uint8)
    expected = embed_with_torch(network, pictures, recipe)
    for precision, least in (("f32", MIN_AGREEMENT), (None, MIN_AGREEMENT_AS_RUN)):
        found = Embedder.load(part, precision=precision).embed(pictures)
        agreement = float((found * expected).sum(axis=1).min())
        # `agreement < least` would admit a graph that computes NaN, because NaN is not below any number.
        if not agreement >= least:
            raise ModelFilesError(
                f"The exported graph agrees with its network to cosine {agreement:.4f}, below {least}; "
                "nothing was written."
            )


def embed_with_torch(network: nn.Module, pictures: Pixels, recipe: Recipe) -> Vectors:
    """What `Embedder.embed` approximates: uint8[N, S, S, 3] -> float32[N, dim], in torch, in float32."""
    scaled = (torch.tensor(pictures, dtype=torch.float32) - torch.tensor(recipe.mean)) / torch.tensor(recipe.std)
    with torch.inference_mode():
        return UnitLength(network).eval()(scaled.permute(0, 3, 1, 2)).numpy()
