"""The one place that imports OpenVINO, and that compiles its graphs.

Its package starts a thread at import that reports usage to an outside server and writes into the home directory; with
that module hidden it falls back to its own silent stub.
"""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from ml.errors import find_cause_line
from ml.recipe import ModelFilesError

Cache = str | Path | None
Graph = Any  # a model of OpenVINO, or an operation, output or shape of one: OpenVINO declares no types


def import_openvino() -> ModuleType:
    """Return the `openvino` module, imported on first call, with its usage reports switched off."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # with None its import fails, so nothing is reported
    import openvino

    return openvino


def read_output(graph: Graph) -> Graph:
    """What a graph's first output gives: its result computes nothing, and what goes into it is meant."""
    return graph.output(0).get_node().input_value(0)


def end_graph_at(graph: Graph, output: Graph, name: str) -> Graph:
    """A graph of the same inputs that gives `output`, which hangs on an operation of `graph`.

    A copy, because what came after that operation still hangs on the original, and is taken for an output.
    """
    return import_openvino().Model([output], graph.get_parameters(), name).clone()


@cache
def computes_bf16() -> bool:
    """Whether the processor multiplies in bfloat16."""
    return "BF16" in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def compile_graph(xml: Path, weights: Path, config: dict[str, Any], cache_dir: Cache = None) -> Any:
    """The graph compiled for the processor, or taken from `cache_dir`, where it is kept for the next process.

    Raises:
        ModelFilesError: the graph cannot be read, or `cache_dir` cannot be used.
    """
    core = import_openvino().Core()
    try:
        graph = core.read_model(xml, weights)
    except RuntimeError as exc:
        raise ModelFilesError(f"{xml} cannot be read by OpenVINO. Export the model again.") from exc
    if cache_dir is not None:
        config = config | {"CACHE_DIR": str(cache_dir)}
    try:
        with _lock_cache(cache_dir):
            return core.compile_model(graph, "CPU", config)
    except (RuntimeError, OSError) as exc:
        raise ModelFilesError(
            f"{xml} cannot be compiled; is the cache, {cache_dir}, a folder that can be written? {find_cause_line(exc)}"
        ) from exc


@contextmanager
def _lock_cache(cache_dir: Cache) -> Iterator[None]:
    """One process at a time: OpenVINO writes over the file that another may have mapped into its memory."""
    if cache_dir is None:
        yield
        return
    folder = Path(cache_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
