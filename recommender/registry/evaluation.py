"""Measure a registered model on labelled photos, in a process of its own, because this one never loads torch.

The figures are kept in `EmbeddingModel.metrics`, the newest of each data set; the report with pictures is a file
beside the model's directory.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.text import slugify

from ml.atomic_files import make_temporary_folder_beside, open_atomic_file
from recommender.models import Calibration, EmbeddingModel

FIGURES = {"recall_at_1": "R@1", "recall_at_5": "R@5", "recall_at_10": "R@10", "map_at_r": "mAP@R"}
HEADLINE = "map_at_r"
BOUNDS = ("mean", "low", "high")
METRICS_KEY = "evaluations"
# These figures go into the model's row. The rest, such as the tables by class, is long, and in the report alone.
KEPT = ("n", *FIGURES, "macro", "floor", "gallery", "leave_one_out", "calibration")
# Reports lie in a folder of the model's name with this at the end, so no model may have a name that ends so.
REPORTS_SUFFIX = "-reports"
REPORT_NAME = r"[0-9]{8}-[0-9]{6}-[A-Za-z0-9_-]{0,100}\.html"


class EvaluationFailed(Exception):
    """`python -m ml evaluate` ended with an error, and has written the reason to stderr."""


@dataclass(frozen=True)
class Figure:
    """A share between 0 and 1 with its confidence interval; None where the data do not define one."""

    mean: float | None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        if self.mean is None:
            return "undefined"
        if self.low is None or self.high is None:
            return f"{self.mean:.3f}"
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Average:
    """Means over `n` classes, in which each class counts the same, or over `n` photos."""

    over: str
    n: int
    figures: dict[str, Figure]

    @property
    def basis(self) -> str:
        return f"{self.n:,} {self.over}"

    @property
    def labelled_figures(self) -> list[tuple[str, Figure]]:
        return [(label, self.figures[name]) for name, label in FIGURES.items()]


@dataclass(frozen=True)
class Evaluation:
    """What was found when a model was measured on one set of photos.

    `data` names the set by the folder and the name of its table, `report` a file in `reports_folder`. Averages over
    classes come first, where classes are large enough for any.
    """

    data: str
    at: datetime
    averages: list[Average]
    report: str

    @property
    def headline(self) -> Figure:
        return self.averages[0].figures[HEADLINE]


def evaluate_model_and_store_figures(
    model: EmbeddingModel, table: Path, copies: Mapping[str, Path | None], **options: Path | str | int | None
) -> Evaluation:
    """Measure a model on the pictures of a CSV (`image,label`) and store the figures.

    `copies` are places for what the evaluation writes: `json` for all of its figures, `html` for the report. `options`
    are those of `python -m ml evaluate`: `images`, `group`, `at_least`, `trained_photos`.

    Raises:
        EvaluationFailed: the pictures or the model cannot be used, or, when the figures are stored already, a copy
            cannot be written.
    """
    table, now = table.absolute(), timezone.now()
    folder = reports_folder(model)
    folder.mkdir(parents=True, exist_ok=True)
    report = f"{now:%Y%m%d-%H%M%S}-{slugify(table.stem)[:100]}.html"
    with make_temporary_folder_beside(folder / report) as part:
        written = {kind: (part / f"evaluation.{kind}").absolute() for kind in ("json", "html")}
        _run_evaluation(model, table, {**options, **written, "calibration": _write_curve(model, part)})
        # NaN stands for what the data do not define. JSON columns cannot hold it, so it becomes null.
        found = json.loads(written["json"].read_text(), parse_constant=lambda name: None)
        # The report is in its place before the row names it, so that no page leads to one that is not there yet.
        written["html"] = written["html"].replace(folder / report)
        entry = {"data": f"{table.parent.name}/{table.stem}", "at": now.isoformat(), "report": report}
        entry |= {name: found.get(name) for name in KEPT}
        _replace_entry_and_delete_report(model, entry)
        _copy_files(written, copies)
    return _parse_evaluation(entry)


def _write_curve(model: EmbeddingModel, folder: Path) -> Path | None:
    """The model's curve from cosines to probabilities as a file; None where it has none."""
    data = Calibration.objects.filter(model=model).values_list("data", flat=True).first()
    if data is None:
        return None
    path = (folder / "calibration.npz").absolute()
    path.write_bytes(bytes(data))
    return path


def list_evaluations(model: EmbeddingModel) -> list[Evaluation]:
    """All evaluations of a model, newest first."""
    return sorted(
        map(_parse_evaluation, model.metrics.get(METRICS_KEY, [])), key=lambda evaluation: evaluation.at, reverse=True
    )


def reports_folder(model: EmbeddingModel) -> Path:
    return settings.MODELS_ROOT / f"{model.checkpoint}{REPORTS_SUFFIX}"


def _run_evaluation(model: EmbeddingModel, table: Path, options: Mapping[str, Path | str | int | None]) -> None:
    """Run `ml evaluate`, which writes its progress, figures and errors to this terminal itself."""
    command = [sys.executable, "-m", "ml", "evaluate", str(table), "--model", str(model.directory.absolute())]
    for name, value in options.items():
        if value is not None:
            command += [f"--{name.replace('_', '-')}", str(value.absolute() if isinstance(value, Path) else value)]
    done = subprocess.run(command, cwd=settings.BASE_DIR, check=False)  # noqa: S603 - no shell, and our own module
    if done.returncode:
        raise EvaluationFailed(f"{model.version} was not evaluated, for the reason above; its figures are unchanged.")


def _copy_files(written: Mapping[str, Path], copies: Mapping[str, Path | None]) -> None:
    for kind, path in copies.items():
        if path is None:
            continue
        try:
            with open_atomic_file(path) as file:
                file.write(written[kind].read_bytes())
        except OSError as exc:
            raise EvaluationFailed(f"The figures are stored, but {path} cannot be written: {exc.strerror}.") from exc


def _replace_entry_and_delete_report(model: EmbeddingModel, entry: dict[str, Any]) -> None:
    """Store an evaluation in place of an earlier one on the same data, whose report is deleted."""
    with transaction.atomic():
        # The figures are read again under the row's lock: another evaluation may have stored its own meanwhile.
        model.metrics = EmbeddingModel.objects.select_for_update().values_list("metrics", flat=True).get(pk=model.pk)
        known = model.metrics.get(METRICS_KEY, [])
        model.metrics[METRICS_KEY] = [entry, *(other for other in known if other["data"] != entry["data"])]
        model.save(update_fields=["metrics"])
    for other in known:
        if other["data"] == entry["data"] and other["report"] != entry["report"]:
            (reports_folder(model) / other["report"]).unlink(missing_ok=True)


def _parse_evaluation(entry: dict[str, Any]) -> Evaluation:
    macro = entry["macro"]
    averages = [_parse_average("classes", macro["classes"], macro)] if macro else []
    averages.append(_parse_average("photos", entry["n"], entry))
    return Evaluation(entry["data"], datetime.fromisoformat(entry["at"]), averages, entry["report"])


def _parse_average(over: str, n: int, figures: dict[str, Any]) -> Average:
    return Average(over, n, {name: Figure(*map(figures[name].get, BOUNDS)) for name in FIGURES})
