"""Pixels in, unit vectors out, on the OpenVINO runtime; the graph itself normalises its input and its output.

Load it after a fork, never before: its threads do not survive one.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from PIL import Image

from ml.per_process import PerProcess
from ml.recipe import GRAPH, INT8_GRAPH, ModelFilesError, Recipe

from .arrays import Pixels, Vectors, require_pixel_shape, resize_and_crop
from .cores import count_usable_cores, has_int8_units
from .openvino_runtime import compile_graph, computes_bf16

MAX_BATCH = 32  # pictures that callers with many pass in one call: enough requests to give every core work
REQUEST = 4  # pictures in one inference: more are no faster, and with few no core is idle for long at a batch's end


class Embedder:
    """One loaded model. `embed` may be called from several threads at once."""

    def __init__(self, recipe: Recipe, precision: str, compiled: Any, parallel: int) -> None:
        self.version = recipe.version
        self.dim = recipe.dim
        self.size = recipe.size
        self.recipe = recipe.as_dict()
        self.precision = precision
        self._parts = ThreadPoolExecutor(parallel, thread_name_prefix="inference")
        # Two threads, so that the next batch is ready to go the moment one has ended.
        self._batches = ThreadPoolExecutor(2, thread_name_prefix="embedder")
        requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(parallel):
            requests.put(compiled.create_infer_request())
        # A forked child inherits no threads. It finds no requests here and is refused, where it would wait for ever.
        self._requests = PerProcess(_refuse_forked_process)
        self._requests.set(requests)

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
            threads: CPU threads for all inferences together; all cores this process may use when None.
            parallel: inferences that run at the same time, each with its share of the threads: 1 answers one picture
                soonest, `cores.choose_stream_count()` embed many fastest.
            precision: `int8`, `bf16` or `f32`; the recipe's when None, or what this processor computes instead.
            cache_dir: where compiled graphs are kept between processes; nowhere when None.

        Raises:
            ModelFilesError: a file is missing, damaged or made by another recipe, or `cache_dir` cannot be used; the
                sentence names it.
        """
        directory = Path(directory)
        recipe = Recipe.read(directory)
        precision = precision or _best_precision(recipe)
        graph = INT8_GRAPH if precision == "int8" else GRAPH
        recipe.verify_files(directory, graph)
        config = {
            "INFERENCE_PRECISION_HINT": _floating_precision(precision),
            "INFERENCE_NUM_THREADS": threads or count_usable_cores(),
            "NUM_STREAMS": parallel,
            "ENABLE_CPU_PINNING": False,  # several processes on one machine would be pinned to the same cores
        }
        compiled = compile_graph(directory / graph[0], directory / graph[1], config, cache_dir)
        _refuse_foreign_graph(compiled, recipe, directory / graph[0])
        embedder = cls(recipe, precision, compiled, parallel)
        # OpenVINO's binding may deadlock where two threads make a process's first inference, so one makes it here.
        embedder.embed(np.zeros((1, recipe.size, recipe.size, 3), np.uint8))
        return embedder

    def prepare(self, image: Image.Image) -> Pixels:
        """The network's input for a *clean* picture: uint8[size, size, 3]."""
        return resize_and_crop(image, self.size)

    def embed(self, batch: Pixels) -> Vectors:
        """uint8[N, size, size, 3] to float32[N, dim], each row of length 1.

        A row the network could not compute comes back as it is (zeros, NaN): see `arrays.is_indexable`.

        Raises:
            ValueError: the batch has another shape or type.
            RuntimeError: the process was forked after the model was loaded.
        """
        require_pixel_shape(batch, self.size)
        self._requests.get()  # raises in a forked child, before it waits for threads that it does not have
        parts = [np.ascontiguousarray(batch[start : start + REQUEST]) for start in range(0, len(batch), REQUEST)]
        if len(parts) == 1:
            return self._infer_vectors(parts[0])
        return np.concatenate([np.empty((0, self.dim), np.float32), *self._parts.map(self._infer_vectors, parts)])

    def submit(self, batch: Pixels) -> Future[Vectors]:
        """`embed` beside the caller's work: `batch` must stay unchanged until the future is done."""
        return self._batches.submit(self.embed, batch)

    def _infer_vectors(self, part: Pixels) -> Vectors:
        requests = self._requests.get()
        request = requests.get()
        try:
            return request.infer({0: part}, share_inputs=True, share_outputs=True)[0].copy()
        finally:
            requests.put(request)


def _refuse_forked_process() -> SimpleQueue[Any]:
    raise RuntimeError("This process was forked after the model was loaded; load it in the process that uses it.")


def _best_precision(recipe: Recipe) -> str:
    if recipe.precision == "int8" and has_int8_units():
        return "int8"
    return "bf16" if recipe.precision != "f32" and computes_bf16() else "f32"


def _floating_precision(precision: str) -> str:
    """Of what is not in 8 bits."""
    return "bf16" if precision == "bf16" or (precision == "int8" and computes_bf16()) else "f32"


def _refuse_foreign_graph(compiled: Any, recipe: Recipe, path: Path) -> None:
    expected = f"[?,{recipe.size},{recipe.size},3]", f"[?,{recipe.dim}]"
    found = compiled.input(0).partial_shape.to_string(), compiled.output(0).partial_shape.to_string()
    if found != expected:
        raise ModelFilesError(
            f"{path} computes {found[0]} -> {found[1]}; its recipe says {expected[0]} -> {expected[1]}."
        )
