"""What a model costs: its speed beside that of the model it replaces, and what 8 bits take from what it finds."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from ml.evaluation.evaluate import evaluate_models
from ml.exporting.export import build_model
from ml.exporting.model_source import find_weights, load_model
from ml.inference.embedder import MAX_BATCH, Embedder
from ml.starter.data import read_clothing_set

ROUNDS = 7
PICTURES = 4 * MAX_BATCH  # embedded by each model in a round


def measure_cost(source: str, former: str, clothing: Path) -> dict[str, Any]:
    """Pictures a second as a share of the former model's, in turns; mAP@R in 8 bits minus that in float32.

    The second is the worse of `unseen` and `heldout`, None where 8 bits are not chosen for photos of `train` here.
    """
    models = {"model": load_model(source), "former": load_model(former)}
    rounds = [{name: _measure_rate(embedder) for name, embedder in models.items()} for _ in range(ROUNDS)]
    with _quantise_model(source, clothing) as embedders:
        lost = _compare_precisions(embedders, clothing) if embedders else None
    return {
        "pictures a second": {name: round(median(rates[name] for rates in rounds), 1) for name in models},
        "speed beside the former": round(median(rates["model"] / rates["former"] for rates in rounds), 3),
        "8 bits minus float32": lost,
    }


def _measure_rate(embedder: Embedder) -> float:
    """Pictures a second from pixels to vectors."""
    pictures = np.random.default_rng(0).integers(0, 256, (PICTURES, embedder.size, embedder.size, 3), np.uint8)
    started = time.perf_counter()
    for start in range(0, PICTURES, MAX_BATCH):
        embedder.embed(pictures[start : start + MAX_BATCH])
    return PICTURES / (time.perf_counter() - started)


@contextmanager
def _quantise_model(source: str, clothing: Path) -> Iterator[dict[str, Embedder]]:
    """The model in both precisions; none where 8 bits are not what is chosen."""
    photos = read_clothing_set(clothing, "train").images
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "model"
        recipe = build_model(directory, "quantised", weights=str(find_weights(source) or source), photos=photos)
        precisions = ("int8", "f32") if recipe.precision == "int8" else ()
        yield {name: Embedder.load(directory, precision=name) for name in precisions}


def _compare_precisions(embedders: dict[str, Embedder], clothing: Path) -> float:
    differences = []
    for split in ("unseen", "heldout"):
        small, whole = evaluate_models(read_clothing_set(clothing, split), embedders)
        if small.summary.macro and whole.summary.macro:
            differences.append(small.summary.macro["map_at_r"].mean - whole.summary.macro["map_at_r"].mean)
    return round(min(differences), 4)
