"""What `manage.py models list` shows: one line for each model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ml.evaluation.text_table import align_columns
from recommender.models import EmbeddingModel

from .backfill_progress import BackfillProgress, measure_progress
from .evaluation import Evaluation, list_evaluations

NOTHING = "-"
TITLES = ("version", "state", "network", "dim", "weights", "photos embedded", "in snapshot", "mAP@R", "activated")


@dataclass(frozen=True)
class ModelSummary:
    """A model with its latest evaluation, and its progress unless no photo is embedded by it."""

    model: EmbeddingModel
    progress: BackfillProgress | None
    evaluation: Evaluation | None

    def as_cells(self) -> tuple[str, ...]:
        model, activated = self.model, self.model.activated_at
        return (
            model.version,
            model.state,
            model.arch,
            str(model.dim),
            model.recipe.get("weights", NOTHING),
            _format_share(self.progress),
            NOTHING if self.progress is None else _format_number(self.progress.snapshot_rows),
            f"{self.evaluation.headline} on {self.evaluation.data}" if self.evaluation else NOTHING,
            f"{activated:%Y-%m-%d %H:%M}" if activated else NOTHING,
        )

    def as_dict(self) -> dict[str, object]:
        model, progress = self.model, self.progress
        return {
            **{name: getattr(model, name) for name in ("version", "state", "arch", "dim", "sha256")},
            "weights": model.recipe.get("weights"),
            **{name: model.recipe.get(name, "") for name in ("licence", "source")},
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


def summarise_models() -> list[ModelSummary]:
    """Every model, in the order of registration."""
    return [
        ModelSummary(
            model, measure_progress(model) if model.is_live else None, next(iter(list_evaluations(model)), None)
        )
        for model in EmbeddingModel.objects.order_by("pk")
    ]


def format_table(summaries: Sequence[ModelSummary]) -> str:
    return "\n".join(align_columns([TITLES, *(summary.as_cells() for summary in summaries)]))


def _format_share(progress: BackfillProgress | None) -> str:
    if progress is None:
        return NOTHING
    return f"{progress.done:,} of {progress.photos:,}"


def _format_number(value: int | None) -> str:
    return NOTHING if value is None else f"{value:,}"
