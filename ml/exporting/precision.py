"""Which precision a model runs with: the lowest that agrees with float32 on photos of its own."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ml.folders.extraction import read_prepared_pictures
from ml.inference.arrays import Pixels
from ml.inference.cores import has_int8_units
from ml.inference.embedder import Embedder
from ml.inference.openvino_runtime import Graph, computes_bf16, import_openvino
from ml.recipe import INT8_GRAPH, Recipe, file_sha256

from .agreement import CALIBRATION, ENOUGH, WANTED, Agreement, measure_agreement
from .quantisation import QuantisationError

logger = logging.getLogger(__name__)

# Makes a finished graph in 8 bits of 300 pictures, uint8[300, S, S, 3], which set its ranges.
Quantise = Callable[[Pixels], Graph]


def read_picture_sample(paths: Sequence[Path], size: int) -> Pixels:
    """uint8[N, size, size, 3], N at most 900: pictures to calibrate with and then to judge on, prepared.

    Chosen by the hash of their names, so that the same photos give the same model whatever their order.
    """
    order = sorted(paths, key=lambda path: hashlib.sha256(path.name.encode(errors="replace")).digest())
    return read_prepared_pictures(order, size, WANTED)


def choose_and_record_precision(
    directory: Path, recipe: Recipe, pictures: Pixels, graphs_in_8_bits: Mapping[str, Quantise]
) -> Recipe:
    """`recipe` with the lowest precision that holds the gate, having written what it needs to `directory`.

    `directory` is complete in float32; `graphs_in_8_bits` are ways to quantise it, by name, fastest first. What this
    processor cannot compute is not tried; with fewer than 800 pictures nothing is, and the recipe stays what it is.
    """
    if len(pictures) < ENOUGH:
        return recipe
    reference = Embedder.load(directory, precision="f32", parallel=1).embed(pictures[CALIBRATION:])
    tried: dict[str, Agreement] = {}
    for name, quantise in _list_candidates(graphs_in_8_bits):
        try:
            candidate = add_int8_graph(directory, recipe, quantise(pictures[:CALIBRATION])) if quantise else recipe
        except QuantisationError as exc:
            logger.warning("%s", exc)
            continue
        precision = "int8" if quantise else name
        found = Embedder.load(directory, precision=precision).embed(pictures[CALIBRATION:])
        tried[name] = measure_agreement(reference, found)
        if tried[name].is_close_enough:
            return _record_precision(directory, candidate, precision, tried)
        _remove_int8_graph(directory, recipe)
    return _record_precision(directory, recipe, "f32", tried)


def _list_candidates(graphs_in_8_bits: Mapping[str, Quantise]) -> list[tuple[str, Quantise | None]]:
    """Names, and what makes the graph in 8 bits; None where the one that is there is computed in bf16."""
    in_8_bits = list(graphs_in_8_bits.items()) if has_int8_units() else []
    return [*in_8_bits, *([("bf16", None)] if computes_bf16() else [])]


def add_int8_graph(directory: Path, recipe: Recipe, graph: Graph) -> Recipe:
    """`recipe` with `graph`, uint8[N, S, S, 3] -> float32[N, dim] in 8 bits, beside the one in float32."""
    import_openvino().save_model(graph, directory / INT8_GRAPH[0], compress_to_fp16=False)
    files = recipe.files | {name: file_sha256(directory / name) for name in INT8_GRAPH}
    recipe = dataclasses.replace(recipe, files=files)
    recipe.write(directory)
    return recipe


def _remove_int8_graph(directory: Path, recipe: Recipe) -> None:
    for name in INT8_GRAPH:
        (directory / name).unlink(missing_ok=True)
    recipe.write(directory)


def _record_precision(directory: Path, recipe: Recipe, precision: str, tried: dict[str, Agreement]) -> Recipe:
    figures = {name: found.as_dict() for name, found in tried.items()}
    recipe = dataclasses.replace(recipe, precision=precision, agreement=figures)
    recipe.write(directory)
    return recipe
