"""A linear layer on somebody else's network, learned from labels: it knows everyday things, and now your kinds too.

The network stays as it is, so its vectors are computed once and learning takes seconds. The layer begins as one that
changes nothing, and of the result a share of that is kept (WiSE-FT, Wortsman et al., CVPR 2022): what is learned of few
kinds costs all others. What comes out is a graph of network and layer, which is registered as any encoder is.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from tqdm import tqdm

from ml.atomic_files import open_atomic_text
from ml.evaluation.metrics import Labelled, judge_queries, macro_average
from ml.exporting.encoder_export import build_encoder_model
from ml.folders.extraction import extract_vectors
from ml.folders.perceptual_hash import hash_files
from ml.folders.photo_set import PhotoSet, read_photo_set
from ml.folders.trained_photos import write_trained_photos
from ml.inference.arrays import Vectors
from ml.inference.embedder import Embedder
from ml.inference.openvino_runtime import end_graph_at, import_openvino, read_output
from ml.recipe import GRAPH, RECIPE, WEIGHTS
from ml.training.data.split import split_photos
from ml.training.errors import TrainingError
from ml.training.files import ENCODER

from .loss import ProxyLoss

FIGURES = "head.json"
KEEP = 0.5
SHARES = (1.0, 0.7, 0.5, 0.3, 0.0)  # of the encoder as it is, that are judged beside the one that is asked for
VALIDATION_SHARE = 0.1
EPOCHS, BATCH, RATE = 40, 256, 1e-3
TEMPERATURE, SMOOTHING = 0.1, 0.05
UNUSED = ("teacher", "untaught", "arch", "dim", "size", "minutes", "trunk_lr", "freeze", "l2_sp", "batch", "patience")


def train_head(options: Namespace) -> None:
    """Learn a layer on `options.head`, a model directory or an encoder, and write the graph of both to `options.out`.

    Raises:
        MlError: the encoder or the pictures cannot be used; the sentence says why.
    """
    folder = Path(options.out)
    _refuse_unused_options(options, folder)
    photos, judged = _read_photos(options)
    with _open_model(options.head) as directory:
        embedder = Embedder.load(directory, threads=options.threads)
        photos, vectors = _embed(photos, embedder)
        layer = _learn_layer(photos, vectors, options)
        keep = KEEP if options.keep is None else options.keep
        figures = {}
        if judged is not None:
            judged, unseen = _embed(judged, embedder)
            figures = {share: _judge(judged, unseen, _mix(layer, share)) for share in sorted({*SHARES, keep})[::-1]}
        _write_run(folder, directory / GRAPH[0], _mix(layer, keep), figures)
    write_trained_photos(folder / ENCODER, hash_files(photos.images).hashes)
    print(_describe_figures(figures, keep))
    print(f"{folder / ENCODER}: the encoder with its layer, of which {keep:.0%} changes nothing")


def _refuse_unused_options(options: Namespace, folder: Path) -> None:
    given = [f"--{name.replace('_', '-')}" for name in UNUSED if getattr(options, name) is not None]
    if given:
        raise TrainingError(f"--head learns one layer of vectors; {' and '.join(given)} can be said of networks alone.")
    for file in (folder / ENCODER, folder / WEIGHTS):
        if file.exists():
            raise TrainingError(f"{file} is there already; choose another folder.")


def _read_photos(options: Namespace) -> tuple[PhotoSet, PhotoSet | None]:
    photos = read_photo_set(options.table, options.images)
    if options.validation:
        return photos, read_photo_set(options.validation, options.images)
    share = VALIDATION_SHARE if options.validation_share is None else options.validation_share
    return split_photos(photos, share, options.seed or 1) if share else (photos, None)


@contextmanager
def _open_model(source: str) -> Iterator[Path]:
    """The directory of a model, made for the moment where only an encoder is named."""
    if (Path(source) / RECIPE).exists():
        yield Path(source)
        return
    with TemporaryDirectory(prefix="ml-head-") as scratch:
        build_encoder_model(Path(scratch) / "model", "encoder", source)
        yield Path(scratch) / "model"


def _embed(photos: PhotoSet, embedder: Embedder) -> tuple[PhotoSet, Vectors]:
    """The photos that can be read, and their vectors float32[N, dim]."""
    found = extract_vectors(photos.images, embedder)
    return photos.subset(found.kept), found.vectors


def _learn_layer(photos: PhotoSet, vectors: Vectors, options: Namespace) -> Tensor:
    """float32[dim, dim]: vectors times this are nearer to those of their class."""
    if len(photos.classes) < 2:
        raise TrainingError("A layer learns to tell classes apart; the table has fewer than two.")
    torch.manual_seed(options.seed or 1)
    inputs, targets = torch.from_numpy(vectors), torch.from_numpy(photos.targets(photos.classes))
    layer = nn.Parameter(torch.eye(vectors.shape[1]))
    loss = ProxyLoss(len(photos.classes), vectors.shape[1], temperature=TEMPERATURE, smoothing=SMOOTHING)
    optimiser = torch.optim.Adam([layer, *loss.parameters()], lr=options.lr or RATE)
    for _ in tqdm(range(options.epochs or EPOCHS), "head", disable=None):
        for chosen in torch.split(torch.randperm(len(targets)), BATCH):
            found = normalize(inputs[chosen] @ layer)
            optimiser.zero_grad()
            logits = loss.class_logits(found)
            torch.autograd.backward(cross_entropy(logits, targets[chosen], label_smoothing=SMOOTHING))
            optimiser.step()
    return layer.detach()


def _mix(layer: Tensor, keep: float) -> npt.NDArray[np.float32]:
    """float32[dim, dim]: the layer, and `keep` parts of one that changes nothing."""
    mixed: npt.NDArray[np.float32] = (keep * torch.eye(len(layer)) + (1 - keep) * layer).numpy()
    return mixed


def _judge(photos: PhotoSet, vectors: Vectors, layer: npt.NDArray[np.float32]) -> dict[str, float]:
    """R@1 and mAP@R, macro-averaged, of pictures that were not learned from, each searched for among the others."""
    found = vectors @ layer
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    targets = photos.targets(photos.classes)
    groups = None if photos.groups is None else np.unique(photos.groups, return_inverse=True)[1].astype(np.int64)
    judged = judge_queries(Labelled(found, targets, groups))
    return {
        "recall_at_1": round(macro_average(judged.recall_at(1), targets), 4),
        "map_at_r": round(macro_average(judged.map_at_r, targets), 4),
    }


def _write_run(folder: Path, graph: Path, layer: npt.NDArray[np.float32], figures: dict[float, Any]) -> None:
    openvino = import_openvino()
    from openvino import opset13 as ops

    base = openvino.Core().read_model(graph)
    joined = ops.matmul(read_output(base), ops.constant(layer), transpose_a=False, transpose_b=False)
    model = end_graph_at(base, joined, "encoder with a head")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".encoder-", dir=folder) as scratch:
            openvino.save_model(model, Path(scratch) / ENCODER, compress_to_fp16=False)
            # The graph comes last: where it is, its numbers are too.
            for name in (Path(ENCODER).with_suffix(".bin").name, ENCODER):
                (Path(scratch) / name).replace(folder / name)
        with open_atomic_text(folder / FIGURES) as file:
            json.dump({f"keep {share:g}": found for share, found in figures.items()}, file, indent=1)
    except OSError as exc:
        raise TrainingError(f"{folder} cannot be written: {exc.strerror}. Choose another folder.") from exc


def _describe_figures(figures: dict[float, dict[str, float]], keep: float) -> str:
    if not figures:
        return "Nothing was set aside to judge by."
    lines = ["Among pictures that were not learned from (R@1, mAP@R; means over classes):"]
    for share, found in figures.items():
        mark = "  <- written" if share == keep else ""
        lines.append(f"  keep {share:<4g} {found['recall_at_1']:.3f}  {found['map_at_r']:.3f}{mark}")
    return "\n".join(lines)
