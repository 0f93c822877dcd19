"""Photos a second from JPEG to vector, beside the loop most projects write and beside the bare model.

ResNet-50, 224 px, 1000 dimensions, whatever model is active, in 8 bits where the processor has units for them. Its
weights are untrained, which changes no speed; such vectors differ so little that the gate refuses their neighbours, so
here it is not asked. Rounds of the three alternate in one process; ratios are medians over rounds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import wait
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from benchmarks.shared.machine import describe_processor, describe_runtime, read_peak_rss_mb
from benchmarks.shared.plot import draw_lines
from ml import images
from ml.folders.extraction import extract_vectors
from ml.inference.arrays import Pixels
from ml.inference.cores import choose_stream_count, count_usable_cores
from ml.inference.embedder import Embedder
from ml.inference.openvino_runtime import computes_bf16
from ml.recipe import Recipe

from .derived import embed_photos, map_clean_pictures
from .megapixels import enlarge_photos
from .speed_model import build_resnet50

ROUNDS = 5
NAIVE, BARE, OURS = 16, 64, 256  # pictures in a round of each: the naive loop is so slow that few must do
BIG = 48  # photos of 12 megapixels
BATCHES = (1, 2, 4, 8, 16, 32)  # pictures in a batch, the points of the curve
CURVE_PICTURES, CURVE_ROUNDS = 32, 3  # embedded for each point, whose rate is the median of the rounds


@dataclass(frozen=True)
class Rates:
    """How many pictures a second each of the three embedded in one round."""

    naive: float
    bare: float
    ours: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="a folder of JPEG photos")
    parser.add_argument("--limit", type=int, default=OURS * ROUNDS, help="photos to use (default: %(default)s)")
    parser.add_argument("--plot", type=Path, metavar="SVG", help="draw throughput against batch size and cores here")
    parser.add_argument("--big", type=int, default=BIG, help="photos of 12 megapixels (default: %(default)s)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    paths = sorted(arguments.images.glob("*.jpg"))[: arguments.limit]
    if len(paths) < OURS:
        raise SystemExit(f"embedding: {arguments.images} holds {len(paths)} JPEG photos; {OURS} are needed.")
    with tempfile.TemporaryDirectory(prefix="mp-bench-") as folder:
        directory = build_resnet50(Path(folder) / "model", paths)
        embedder = Embedder.load(directory, parallel=choose_stream_count())
        small = _measure_small_photos(directory, embedder, paths)
        figures = small | _measure_big_photos(Path(folder), embedder, paths[: arguments.big])
        if arguments.plot:
            figures["curve"] = curve = _measure_batch_sizes(directory, embedder.prepare(_read_clean_picture(paths[0])))
            arguments.plot.write_text(
                draw_lines(f"Pictures a second, {describe_processor()}", "pictures in a batch", curve)
            )
        return figures


def _measure_small_photos(directory: Path, embedder: Embedder, paths: Sequence[Path]) -> dict[str, Any]:
    import torch

    from ml.network.weights import read_weights

    from .naive import embed_one_by_one

    torch.set_num_threads(count_usable_cores())
    network = read_weights(directory / "weights.safetensors").network
    resident = np.stack([embedder.prepare(_read_clean_picture(path)) for path in paths[:BARE]])
    rates = []
    for number in tqdm(range(ROUNDS), "rounds", disable=not sys.stderr.isatty()):
        mine = [paths[i % len(paths)] for i in range(number * OURS, (number + 1) * OURS)]
        rates.append(
            Rates(
                naive=_measure_rate(NAIVE, partial(embed_one_by_one, network, mine[:NAIVE])),
                bare=_measure_rate(BARE * 4, lambda: wait([embedder.submit(resident) for _ in range(4)])),
                ours=_measure_rate(OURS, partial(extract_vectors, mine, embedder)),
            )
        )
    reference = Embedder.load(directory, precision="f32").embed(resident)
    cosines = (reference * embedder.embed(resident)).sum(axis=1)
    return {
        "naive_ips": _compute_median(rate.naive for rate in rates),
        "bare_ips": _compute_median(rate.bare for rate in rates),
        "ours_ips": _compute_median(rate.ours for rate in rates),
        "ours_over_naive": _compute_median(rate.ours / rate.naive for rate in rates),
        "ours_over_bare": _compute_median(rate.ours / rate.bare for rate in rates),
        "cosine_mean": round(float(cosines.mean()), 4),
        "cosine_min": round(float(cosines.min()), 4),
        "peak_rss_mb": read_peak_rss_mb(),
        "runtime": describe_runtime(embedder.precision),
    }


def _measure_big_photos(folder: Path, embedder: Embedder, paths: Sequence[Path]) -> dict[str, Any]:
    """Time photos of 12 megapixels from JPEG bytes to vector, as a worker handles them, and without the model.

    The difference says how much of the time goes to decoding and to the derivatives.
    """
    pictures = [folder / f"{number}.jpg" for number in range(len(paths))]
    for path, data in zip(pictures, tqdm(enlarge_photos(paths), "12 MP", len(paths), disable=None), strict=True):
        path.write_bytes(data)
    number = len(pictures)
    rates = [
        (
            _measure_rate(number, lambda: list(map_clean_pictures(pictures, lambda image: image))),
            _measure_rate(number, lambda: embed_photos(pictures, embedder)),
        )
        for _ in range(ROUNDS)
    ]
    return {
        "big": {
            "photos": number,
            "mean_mb": round(sum(path.stat().st_size for path in pictures) / number / 1024**2, 2),
            "derived_ips": _compute_median(without_model for without_model, _ in rates),
            "embedded_ips": _compute_median(with_model for _, with_model in rates),
        }
    }


def _measure_batch_sizes(directory: Path, picture: Pixels) -> dict[str, dict[int, float]]:
    """How many pictures a second the bare model embeds, by precision, cores and pictures in a batch."""
    found: dict[str, dict[int, float]] = {}
    precisions = sorted({"f32", Recipe.read(directory).precision, *(["bf16"] if computes_bf16() else [])} - {"auto"})
    for precision, cores in product(precisions, range(1, count_usable_cores() + 1)):
        embedder = Embedder.load(directory, threads=cores, parallel=cores, precision=precision)
        points = found[f"{precision}, {cores} core{'s' * (cores > 1)}"] = {}
        for size in BATCHES:
            batch = np.stack([picture] * size)
            embedder.embed(batch)
            work = partial(_embed_repeatedly, embedder, batch, CURVE_PICTURES // size)
            points[size] = _compute_median(_measure_rate(CURVE_PICTURES, work) for _ in range(CURVE_ROUNDS))
    return found


def _embed_repeatedly(embedder: Embedder, batch: Pixels, times: int) -> None:
    for _ in range(times):
        embedder.embed(batch)


def _read_clean_picture(path: Path) -> Image.Image:
    return images.make_clean_picture(images.decode(path.read_bytes(), images.CLEAN_SIDE))


def _measure_rate(pictures: int, work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return pictures / (time.perf_counter() - start)


def _compute_median(values: Iterable[float]) -> float:
    return round(median(values), 2)
