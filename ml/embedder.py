"""Pixels in, unit vectors out, on the OpenVINO runtime; the graph itself normalises its input and its output.

Load it after a fork, never before: its threads do not survive one.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from .preprocess import Pixels, prepare
from .recipe import GRAPH, ModelFilesError, Recipe
from .runtime import import_openvino

__all__ = ["Embedder", "ModelFilesError", "Vectors", "is_valid"]

Vectors = npt.NDArray[np.float32]

MAX_BATCH = 32  # pictures in one inference; activations take about 25 MB each


class Embedder:
    """One loaded model. `embed` may be called from several threads at once."""

    def __init__(self, recipe: Recipe, compiled: Any, parallel: int) -> None:
        self.version = recipe.version
        self.dim = recipe.dim
        self.size = recipe.size
        self.recipe = recipe.as_dict()
        self.precision: str = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        self._executor = ThreadPoolExecutor(parallel, thread_name_prefix="embedder")
        self._requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(parallel):
            self._requests.put(compiled.create_infer_request())
        self._pid = os.getpid()

    @classmethod
    def load(
        cls,
        directory: str | Path,
        *,
        threads: int | None = None,
        parallel: int = 1,
        precision: str | None = None,
        cache_dir: str | Path | None = None,
    ) -> Embedder:
        """Verify and compile the model in `directory`.

        Args:
            threads: CPU threads for all inferences together; all cores when None.
            parallel: inferences that may run at the same time.
            precision: `bf16` or `f32`; bf16 where the processor computes it when None.
            cache_dir: where compiled graphs are kept between processes; nowhere when None.

        Raises:
            ModelFilesError: a file is missing, damaged or made by another recipe, or `cache_dir` cannot be used; the
                sentence names it.
        """
        directory = Path(directory)
        recipe = Recipe.read(directory)
        recipe.verify(directory, GRAPH)
        core = import_openvino().Core()
        config = {
            "INFERENCE_PRECISION_HINT": precision or _best_precision(core),
            "NUM_STREAMS": parallel,
            "ENABLE_CPU_PINNING": False,  # several processes on one machine would be pinned to the same cores
        }
        if threads is not None:
            config["INFERENCE_NUM_THREADS"] = threads
        if cache_dir is not None:
            config["CACHE_DIR"] = str(cache_dir)
        xml, weights = (directory / name for name in GRAPH)
        try:
            graph = core.read_model(xml, weights)
        except RuntimeError as exc:
            raise ModelFilesError(f"{xml} cannot be read by OpenVINO. Export the model again.") from exc
        _refuse_foreign_graph(graph, recipe, xml)
        try:
            compiled = core.compile_model(graph, "CPU", config)
        except RuntimeError as exc:
            reason = str(exc).strip().splitlines()[-1]
            raise ModelFilesError(
                f"{xml} cannot be compiled; is the cache, {cache_dir}, a folder that can be written? {reason}"
            ) from exc
        return cls(recipe, compiled, parallel)

    def prepare(self, image: Image.Image) -> Pixels:
        """The network's input for a *clean* picture: uint8[size, size, 3]."""
        return prepare(image, self.size)

    def embed(self, batch: Pixels) -> Vectors:
        """uint8[N, size, size, 3] to float32[N, dim], each row of length 1.

        A row the network could not compute comes back as it is (zeros, NaN): see `is_valid`.

        Raises:
            ValueError: the batch has another shape or type.
            RuntimeError: the process was forked after the model was loaded.
        """
        if batch.dtype != np.uint8 or batch.shape[1:] != (self.size, self.size, 3):
            raise ValueError(f"Expected uint8[N, {self.size}, {self.size}, 3], got {batch.dtype}{list(batch.shape)}.")
        if os.getpid() != self._pid:
            raise RuntimeError(
                "This process was forked after the model was loaded; load it in the process that uses it."
            )
        vectors = np.empty((len(batch), self.dim), np.float32)
        request = self._requests.get()
        try:
            for start in range(0, len(batch), MAX_BATCH):
                part = np.ascontiguousarray(batch[start : start + MAX_BATCH])
                vectors[start : start + len(part)] = request.infer({0: part}, share_inputs=True, share_outputs=True)[0]
        finally:
            self._requests.put(request)
        return vectors

    def submit(self, batch: Pixels) -> Future[Vectors]:
        """`embed` beside the caller's work: `batch` must stay unchanged until the future is done."""
        return self._executor.submit(self.embed, batch)


def is_valid(vectors: Vectors) -> npt.NDArray[np.bool_]:
    """bool[N]: whether each row of float32[N, dim] is finite and not zero, so that it may be indexed."""
    return np.isfinite(vectors).all(axis=1) & (np.abs(vectors).max(axis=1, initial=0) > 0)


def _best_precision(core: Any) -> str:
    return "bf16" if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"


def _refuse_foreign_graph(graph: Any, recipe: Recipe, path: Path) -> None:
    expected = f"[?,{recipe.size},{recipe.size},3]", f"[?,{recipe.dim}]"
    found = graph.input(0).partial_shape.to_string(), graph.output(0).partial_shape.to_string()
    if found != expected:
        raise ModelFilesError(
            f"{path} computes {found[0]} -> {found[1]}; its recipe says {expected[0]} -> {expected[1]}."
        )
