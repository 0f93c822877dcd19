"""Which precision a model runs with: the lowest that agrees with float32 on photos of its own."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml.folders.extraction import read_prepared_pictures
from ml.inference.arrays import Pixels
from ml.inference.cores import has_int8_units
from ml.inference.embedder import Embedder
from ml.inference.openvino_runtime import computes_bf16, import_openvino
from ml.recipe import INT8_GRAPH, Recipe, file_sha256

from .agreement import CALIBRATION, ENOUGH, WANTED, Agreement, measure_agreement
from .graph import add_preprocessing
from .quantisation import LAST_STAGE, quantise_graph


def read_picture_sample(paths: Sequence[Path], size: int) -> Pixels:
    """uint8[N, size, size, 3], N at most 900: pictures to calibrate with and then to judge on, prepared.

    Chosen by the hash of their names, so that the same photos give the same model whatever their order.
    """
    order = sorted(paths, key=lambda path: hashlib.sha256(path.name.encode(errors="replace")).digest())
    return read_prepared_pictures(order, size, WANTED)


def choose_and_record_precision(directory: Path, graph: Any, recipe: Recipe, pictures: Pixels) -> Recipe:
    """`recipe` with the lowest precision that holds the gate, having written what it needs to `directory`.

    `directory` is complete in float32, and `graph` is as `quantise_graph` takes it. What this processor cannot compute
    is not tried; with fewer than 800 pictures nothing is, and the recipe stays what it is.
    """
    if len(pictures) < ENOUGH:
        return recipe
    reference = Embedder.load(directory, precision="f32", parallel=1).embed(pictures[CALIBRATION:])
    tried: dict[str, Agreement] = {}
    for name, precision, kept in _candidate_precisions():
        candidate = add_int8_graph(directory, graph, recipe, pictures, kept) if precision == "int8" else recipe
        found = Embedder.load(directory, precision=precision).embed(pictures[CALIBRATION:])
        tried[name] = measure_agreement(reference, found)
        if tried[name].is_close_enough:
            return _record_precision(directory, candidate, precision, tried)
        _remove_int8_graph(directory, recipe)
    return _record_precision(directory, recipe, "f32", tried)


def _candidate_precisions() -> list[tuple[str, str, tuple[str, ...]]]:
    """Names, precisions, and what does not take part in 8 bits, fastest first."""
    int8 = [("int8", "int8", ()), ("int8 but layer4", "int8", (LAST_STAGE,))] if has_int8_units() else []
    return [*int8, *([("bf16", "bf16", ())] if computes_bf16() else [])]


def add_int8_graph(directory: Path, graph: Any, recipe: Recipe, pictures: Pixels, kept: Sequence[str] = ()) -> Recipe:
    """`recipe` with a graph in 8 bits, but for `kept`, beside that in float32; 300 of `pictures` set its ranges."""
    small = add_preprocessing(quantise_graph(graph, pictures[:CALIBRATION], recipe, kept), recipe)
    import_openvino().save_model(small, directory / INT8_GRAPH[0], compress_to_fp16=False)
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
