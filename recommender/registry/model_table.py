"""What a terminal shows of the registry: one line a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from recommender import registry
from recommender.models import EmbeddingModel

from . import Progress
from .evaluation import Evaluation, evaluations

NOTHING = "-"
TITLES = ("version", "state", "network", "dim", "weights", "photos embedded", "in snapshot", "mAP@R", "activated")


@dataclass(frozen=True)
class Row:
    model: EmbeddingModel
    progress: Progress | None  # None: no photo is embedded by it
    evaluation: Evaluation | None  # the newest

    def cells(self) -> tuple[str, ...]:
        model, activated = self.model, self.model.activated_at
        return (
            model.version,
            model.state,
            model.arch,
            str(model.dim),
            model.recipe.get("weights", NOTHING),
            share(self.progress),
            NOTHING if self.progress is None else number(self.progress.snapshot_rows),
            f"{self.evaluation.headline} on {self.evaluation.data}" if self.evaluation else NOTHING,
            f"{activated:%Y-%m-%d %H:%M}" if activated else NOTHING,
        )

    def as_dict(self) -> dict[str, Any]:
        model, progress = self.model, self.progress
        return {
            **{name: getattr(model, name) for name in ("version", "state", "arch", "dim", "sha256")},
            "weights": model.recipe.get("weights"),
            "progress": progress
            and {
                name: getattr(progress, name)
                for name in ("photos", "done", "open", "rejected", "failed", "missing", "snapshot_rows", "ready")
            },
            "blockers": list(progress.blockers) if progress else [],
            "metrics": model.metrics,
            "created_at": model.created_at.isoformat(),
            "activated_at": model.activated_at and model.activated_at.isoformat(),
        }


def overview() -> list[Row]:
    """Every model, in the order of registration."""
    return [
        Row(model, registry.progress(model) if model.is_live else None, newest(model))
        for model in EmbeddingModel.objects.order_by("pk")
    ]


def newest(model: EmbeddingModel) -> Evaluation | None:
    return next(iter(evaluations(model)), None)


def share(progress: Progress | None) -> str:
    if progress is None:
        return NOTHING
    return f"{progress.done:,} of {progress.photos:,}"


def number(value: int | None) -> str:
    return NOTHING if value is None else f"{value:,}"


def as_table(rows: Iterable[Row]) -> str:
    """Columns as wide as their widest cell."""
    lines: list[Sequence[str]] = [TITLES, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
