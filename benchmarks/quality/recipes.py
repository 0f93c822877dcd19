"""Which recipe of `RECIPES` fine-tunes best from the same weights, in equal time and keeping as much of them.

Each gets the same small search, 5 learning rates x 2 choices of frozen layers of equal time, judged on photos of
senders that are not trained on; the best of each is trained with several seeds and judged on garments never trained on
(unseen), on trained kinds by other people (heldout) and on 30 kinds of everyday objects; photos of a query's own sender
do not count. All keep the same share of the starting weights; with one seed each the other shares are shown.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from tqdm import tqdm

SIDE_FACTOR = 1.5  # photos are decoded larger than the network sees them, for training to crop
AT_LEAST = 10  # photos of a class that counts in the macro average
RATES = (0.1, 0.3, 1.0, 3.0, 10.0)  # multiples of the recipe's own rate
FROZEN = (  # layers that keep their weights
    ("conv1", "bn1", "layer1", "layer2", "layer3"),
    ("conv1", "bn1", "layer1"),
)
KEPT = (0.5, 0.0)  # other shares of the starting weights that every recipe is shown with
VARIANTS: dict[str, dict[str, Any]] = {
    "metric --keep 0 --l2-sp 0.01": {"keep": 0.0, "l2_sp": 0.01},
    "metric --keep 0 --l2-sp 0": {"keep": 0.0, "l2_sp": 0.0},
}
COLUMNS = ("seconds", "unseen", "heldout", "objects", "forgetting")
UNTRAINED_KINDS = ("unseen", "objects")  # where forgetting shows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", default="starter", help="starter or a weights file")
    parser.add_argument("--clothing", type=Path, required=True, help="folder with splits.csv and images/")
    parser.add_argument("--objects", type=Path, help="Caltech-101, KIND/*.jpg, to judge on 30 of its kinds")
    parser.add_argument("--keep", type=float, default=0.7, help="of the start, by every recipe (default: %(default)s)")
    parser.add_argument("--tiny", type=Path, help="tiny-imagenet; with it, a variant keeps its classes in the loss")
    parser.add_argument(
        "--teacher",
        dest="teachers",
        default="",
        metavar="NAME[,NAME]",
        help="whom 'distil' learns from, as for `ml train`; without one it is left out",
    )
    parser.add_argument("--minutes", type=float, default=1.0, help="of training, each run (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    import torch

    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as scratch:
        return _Comparison(arguments, Path(scratch)).compare_recipes()


class _Comparison:
    """Trains and scores, with photos that are decoded once for all runs."""

    def __init__(self, arguments: argparse.Namespace, scratch: Path) -> None:
        from ml.network.weights import load_network
        from ml.starter.data import read_clothing_set
        from ml.training.data.split import split_photos

        from .objects import read_objects

        self.arguments, self.scratch, self.runs = arguments, scratch, 0
        self.loaded = load_network(arguments.weights)
        self.garments, aside = split_photos(read_clothing_set(arguments.clothing, "train"), 0.1, seed=1)
        self.training, self.aside = self._decode_photos(self.garments), self._decode_photos(aside)
        sets = {name: read_clothing_set(arguments.clothing, name) for name in ("unseen", "heldout")}
        if arguments.objects:
            sets["objects"] = read_objects(arguments.objects)
        self.judged = {name: self._decode_photos(photos) for name, photos in sets.items()}

    def _decode_photos(self, photos: Any) -> Any:
        from ml.training.data.photo_pixels import decode_photos

        return decode_photos(photos, round(SIDE_FACTOR * self.loaded.architecture.size), self.scratch / "cache")

    def compare_recipes(self) -> dict[str, Any]:
        best = {
            name: self._find_best_plan(dataclasses.replace(plan, keep=self.arguments.keep))
            for name, plan in _list_recipes(self.arguments.teachers)
        }
        start = self._score_network(self.loaded.network)
        rows = {"start": [start]}
        for name, plan in best.items():
            rows[name] = [self._train_and_score(plan, seed) for seed in range(1, self.arguments.seeds + 1)]
        for title, plan in _list_variants(best):
            rows[title] = [self._train_and_score(plan, 1)]
        if self.arguments.tiny:
            rows["metric with tiny-imagenet in the loss"] = [
                self._train_and_score(best["metric"], 1, self._read_replay_photos())
            ]
        table = {name: _summarise_scores([_add_forgetting(score, start) for score in rows[name]]) for name in rows}
        chosen = {name: {"lr": plan.lr, "frozen": plan.frozen} for name, plan in best.items()}
        print(format_table(table))
        return {
            "minutes": self.arguments.minutes,
            "keep": self.arguments.keep,
            "chosen": chosen,
            "macro mAP@R": table,
        }

    def _find_best_plan(self, plan: Any) -> Any:
        """Try each learning rate with each choice of frozen layers; returns the plan that scores best."""
        found = [
            (self._score_candidate(candidate), candidate)
            for candidate in tqdm(list(_list_candidates(plan)), desc=plan.recipe)
        ]
        return max(found, key=lambda pair: pair[0])[1]

    def _score_candidate(self, plan: Any) -> float:
        """The macro mAP@R after training so, among photos of senders that were set aside."""
        return self._compute_macro_map(self._train_network(plan, 1, self.training), self.aside)

    def _train_and_score(self, plan: Any, seed: int, photos: Any = None) -> dict[str, float]:
        """The figures of each judged set, and the seconds that training took, saving and preparing included."""
        started = time.monotonic()
        network = self._train_network(plan, seed, photos or self.training)
        return {"seconds": time.monotonic() - started, **self._score_network(network)}

    def _train_network(self, plan: Any, seed: int, photos: Any) -> Any:
        from ml.training.job import add_teachers
        from ml.training.loop import Run
        from ml.training.starting import make_starting_network

        architecture = self.loaded.architecture
        start = make_starting_network(
            self.arguments.weights, arch=None, dim=None, size=None, pooling=architecture.pooling, seed=seed
        )
        plan = dataclasses.replace(
            plan,
            seed=seed,
            minutes=self.arguments.minutes,
            sizes=((1.0, architecture.size),),
            pooling=architecture.pooling,
            batch=64,
        )
        if plan.teachers:
            photos = add_teachers(photos, plan, self.scratch / "cache", plan.teachers)
        self.runs += 1
        run = Run(self.scratch / f"run{self.runs}", plan, start.network, architecture.dim, photos, start=start.trained)
        run.train()
        return run.learner.result

    def _read_replay_photos(self) -> Any:
        from ml.starter.data import LEFT_OUT, join_sets, read_tiny_imagenet

        return self._decode_photos(
            join_sets(self.garments, read_tiny_imagenet(self.arguments.tiny / "train", LEFT_OUT))
        )

    def _score_network(self, network: Any) -> dict[str, float]:
        return {name: self._compute_macro_map(network, photos) for name, photos in self.judged.items()}

    def _compute_macro_map(self, network: Any, photos: Any) -> float:
        import torch

        from ml.evaluation.metrics import Labelled, judge_queries, macro_average
        from ml.training.validation.extraction import extract_vectors

        vectors = extract_vectors(network, photos.pixels, self.loaded.architecture.size, torch.device("cpu"))
        judged = judge_queries(Labelled(vectors, photos.targets, photos.groups))
        return macro_average(judged.map_at_r, photos.targets, AT_LEAST)


def _list_recipes(teachers: str) -> Iterator[tuple[str, Any]]:
    """Every recipe that can be trained: one that learns from teachers only where there are some."""
    from ml.training.plan import RECIPES

    for name, plan in RECIPES.items():
        if plan.loss != "distillation":
            yield name, plan
        elif teachers:
            yield name, dataclasses.replace(plan, teachers=tuple(teachers.split(",")))
        else:
            print(f"'{name}' is left out, because it needs --teacher.")


def _list_candidates(plan: Any) -> Iterator[Any]:
    for frozen in FROZEN:
        for factor in RATES:
            yield dataclasses.replace(plan, lr=plan.lr * factor, frozen=frozen)


def _list_variants(best: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, plan in best.items():
        for keep in KEPT:
            yield f"{name} --keep {keep:g}", dataclasses.replace(plan, keep=keep)
    for title, changes in VARIANTS.items():
        yield title, dataclasses.replace(best["metric"], **changes)


def _add_forgetting(score: dict[str, float], start: dict[str, float]) -> dict[str, float]:
    """With how far the sets of kinds that were not trained on fell below the start on average; gained is below zero."""
    return {**score, "forgetting": fmean(start[name] - score[name] for name in UNTRAINED_KINDS if name in score)}


def _summarise_scores(scores: list[dict[str, float]]) -> dict[str, Any]:
    return {
        name: {
            "mean": round(fmean(score[name] for score in scores), 3),
            "sd": round(stdev(score[name] for score in scores), 3) if len(scores) > 1 else None,
        }
        for name in scores[0]
    }


def format_table(table: dict[str, Any]) -> str:
    """The rows of `compare_recipes` in Markdown; the start has no seconds, so that cell is empty."""
    columns = [name for name in COLUMNS if any(name in row for row in table.values())]
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for title, row in table.items():
        lines.append(f"| {title} | " + " | ".join(_format_cell(row.get(name)) for name in columns) + " |")
    return "\n".join(lines)


def _format_cell(cell: dict[str, Any] | None) -> str:
    if cell is None:
        return ""
    return f"{cell['mean']:.3f}" + (f" ± {cell['sd']:.3f}" if cell["sd"] is not None else "")
