"""Makes a model directory of somebody else's network: its graph from pictures to unit vectors, and the recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ml.errors import find_cause_line
from ml.folders.trained_photos import read_trained_photos, write_trained_photos
from ml.inference.arrays import Pixels, is_indexable
from ml.inference.embedder import Embedder
from ml.inference.encoders.encoder import open_graph
from ml.inference.encoders.graph_file import AS_FILED, EncoderGraph, Reading
from ml.inference.openvino_runtime import Graph, end_graph_at, import_openvino, read_output
from ml.recipe import ENCODER, ENCODERS, GRAPH, WEIGHTS, ModelFilesError, Recipe, file_sha256

from .model_directory import refuse_existing_directory, write_model_directory
from .precision import choose_and_record_precision, read_picture_sample
from .quantisation import is_in_8_bits, quantise_encoder_graph

TINY = 1e-12  # a vector that is shorter has no direction
# Vectors of different pictures differ by more than this in some number, and the same picture's by less, computed alone
# and with others.
LEAST_DIFFERENCE, MOST_DIFFERENCE = 1e-3, 1e-2


def build_encoder_model(
    directory: str | Path,
    version: str,
    encoder: str,
    *,
    reading: Reading = AS_FILED,
    photos: Sequence[Path] = (),
) -> Recipe:
    """Write the model `version` to `directory`, which must not exist, from an encoder as `open_graph` takes it.

    With 800 `photos` or more, files of the kind it will see, its precision is the lowest that agrees with float32 on
    them.

    Raises:
        ModelFilesError: `directory` exists, or the encoder tells pictures apart by nothing.
        EncoderError, UnknownGraphError, NoSuchOutputError: the encoder cannot be had or read.
    """
    directory = Path(directory)
    refuse_existing_directory(directory)
    opened = open_graph(encoder, reading)
    graph = _divide_by_length(opened)
    recipe = Recipe(
        version,
        ENCODER,
        int(graph.output(0).get_partial_shape()[1].get_length()),
        encoder if encoder in ENCODERS else Path(encoder).name,
        sha256="",
        files={},
        size=opened.size,
        mean=opened.mean,
        std=opened.std,
        output=opened.output,
    )
    with write_model_directory(directory) as part:
        recipe = _write_graph(part, graph, recipe)
        _refuse_useless_vectors(part, encoder)
        # A head of ours has learned from photos, and which ones lies beside it.
        write_trained_photos(part / WEIGHTS, read_trained_photos(Path(encoder)))
        in_8_bits = {} if is_in_8_bits(graph) else {"int8": partial(quantise_encoder_graph, graph)}
        return choose_and_record_precision(part, recipe, read_picture_sample(photos, recipe.size), in_8_bits)


def _divide_by_length(opened: EncoderGraph) -> Graph:
    """uint8[N, S, S, 3] -> float32[N, dim] of length 1."""
    import_openvino()
    from openvino import opset13 as ops

    unit = ops.normalize_l2(read_output(opened.graph), ops.constant(np.array([1], np.int64)), TINY, "max")
    return end_graph_at(opened.graph, unit, "encoder")


def _write_graph(part: Path, graph: Graph, recipe: Recipe) -> Recipe:
    # By default OpenVINO halves weights to 16 bits, and this graph is what other precisions are compared with.
    import_openvino().save_model(graph, part / GRAPH[0], compress_to_fp16=False)
    files = {name: file_sha256(part / name) for name in GRAPH}
    recipe = dataclasses.replace(recipe, sha256=files[GRAPH[1]], files=files)
    recipe.write(part)
    return recipe


def _refuse_useless_vectors(part: Path, encoder: str) -> None:
    """Admit an encoder only if its vectors can be searched: finite, of length 1, and told apart by what is shown."""
    try:
        embedder = Embedder.load(part)
        pictures = draw_test_pictures(embedder.size)
        vectors = embedder.embed(pictures)
        alone = embedder.embed(pictures[:1])
    except RuntimeError as exc:
        raise ModelFilesError(
            f"{encoder} cannot be computed here: {find_cause_line(exc)}; nothing was written."
        ) from exc
    if not is_indexable(vectors).all():
        trouble = "gives vectors of drawn pictures that are zero or not finite; is --output the one meant, and --std?"
    elif np.ptp(vectors, axis=0).max() < LEAST_DIFFERENCE:
        trouble = "gives the same vector for every drawn picture; is --output the one meant, and --mean and --std?"
    elif not np.allclose(vectors[:1], alone, atol=MOST_DIFFERENCE):
        trouble = "gives a picture another vector alone than among others; export it with a free number of pictures."
    else:
        return
    raise ModelFilesError(f"{encoder} {trouble} Nothing was written.")


def draw_test_pictures(size: int) -> Pixels:
    """uint8[5, size, size, 3]: patches of random colours, coarse to fine."""
    dice = np.random.default_rng(0)
    places = np.arange(size)
    return np.stack(
        [
            dice.integers(0, 256, (patches, patches, 3), np.uint8)[np.ix_(*[places * patches // size] * 2)]
            for patches in (2, 3, 5, 8, 13)
        ]
    )
