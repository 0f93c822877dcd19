"""Everyday classes: whether the nearest of 60,000 training pictures is of the class of a tiny-imagenet picture."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any

from ml.evaluation.evaluate import evaluate_model
from ml.inference.embedder import Embedder
from ml.starter.data import LEFT_OUT, read_tiny_imagenet

NAMES = Path(__file__).parent / "tables" / "tiny_imagenet_classes.csv"


def measure_classes(embedder: Embedder, tiny: Path) -> dict[str, Any]:
    """1-NN accuracy over all 200 classes, of each group of classes, and of each class."""
    evaluation = evaluate_model(read_tiny_imagenet(tiny / "val"), embedder, gallery=read_tiny_imagenet(tiny / "train"))
    with NAMES.open(newline="", encoding="utf-8") as file:
        known = {row["class"]: row for row in csv.DictReader(file)}
    hits = {name: means["recall_at_1"].mean for name, means in evaluation.summary.per_class.items()}
    groups = defaultdict(list)
    for name, hit in hits.items():
        groups[known[name]["group"]].append(hit)
    return {
        "queries": evaluation.summary.micro.n,
        "gallery": len(evaluation.pictures.searched_pictures.photos),
        "1-NN": [round(value, 3) for value in vars(evaluation.summary.micro["recall_at_1"]).values()],
        "1-NN histogram": round(evaluation.floor["histogram"].micro["recall_at_1"].mean, 3),
        "1-NN chance": round(evaluation.floor["chance"].micro["recall_at_1"].mean, 4),
        "never trained on": {known[name]["name"]: round(hits[name], 2) for name in LEFT_OUT},
        "groups": {name: round(fmean(values), 3) for name, values in sorted(groups.items())},
        "per_class": {known[name]["name"]: round(hits[name], 2) for name in sorted(hits, key=hits.__getitem__)},
    }
