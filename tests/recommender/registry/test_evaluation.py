"""The real evaluation of a registered model, on a handful of drawn pictures."""

from __future__ import annotations

import csv
import itertools
import json
import re
import subprocess
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from ml.recipe import Recipe
from recommender.models import EmbeddingModel
from recommender.registry import evaluation
from recommender.registry.evaluation import REPORT_NAME, Figure, list_evaluations, reports_folder
from tests.built_models import untrained_model_dir
from tests.factories import draw_photo
from tests.recommender.queue_rows import make_model
from tests.recommender.registered import EVALUATION

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def table(tmp_path) -> Path:
    """Six pictures of two classes."""
    folder = tmp_path / "clothes"
    (folder / "images").mkdir(parents=True)
    path = folder / "small.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("image", "label"))
        for seed in range(6):
            (folder / "images" / f"{seed}.jpg").write_bytes(draw_photo(seed))
            rows.writerow((f"{seed}.jpg", ("round", "square")[seed % 2]))
    return path


@pytest.fixture
def model(settings, tmp_path) -> EmbeddingModel:
    """The active model, its files in a MODELS_ROOT of the test's own."""
    settings.MODELS_ROOT = tmp_path / "models"
    settings.MODELS_ROOT.mkdir()
    (settings.MODELS_ROOT / "first").symlink_to(untrained_model_dir())
    recipe = Recipe.read(untrained_model_dir())
    return make_model(version="first", dim=recipe.dim, recipe=recipe.as_dict())


def test_a_models_figures_are_stored_and_its_report_is_kept(model, table, tmp_path, capfd):
    older, other = {**EVALUATION, "data": "clothes/small"}, {**EVALUATION, "data": "elsewhere/small"}
    model.metrics = {"trained": "yes", "evaluations": [older, other]}
    model.save()
    reports_folder(model).mkdir()
    (reports_folder(model) / older["report"]).write_text("old")
    copies = {kind: tmp_path / f"copy.{kind}" for kind in ("json", "html")}
    options = {f"--{kind}": str(path) for kind, path in copies.items()} | {"--images": str(table.parent / "images")}
    call_command("models", "evaluate", str(table), "--at-least=3", *(part for pair in options.items() for part in pair))

    model.refresh_from_db()
    newest, left = list_evaluations(model)
    figures = json.loads(copies["json"].read_text())
    assert (newest.data, left.data) == ("clothes/small", "elsewhere/small")
    assert [(average.over, average.n) for average in newest.averages] == [("classes", 2), ("photos", 6)]
    assert newest.headline == Figure(**figures["macro"]["map_at_r"])
    assert model.metrics["trained"] == "yes"
    assert "per_class" not in model.metrics["evaluations"][0]
    assert re.fullmatch(REPORT_NAME, newest.report)
    assert [path.name for path in reports_folder(model).iterdir()] == [newest.report]
    assert (reports_folder(model) / newest.report).read_bytes() == copies["html"].read_bytes()
    assert f"first on clothes/small: mAP@R {newest.headline}" in capfd.readouterr().out


def test_what_cannot_be_evaluated_is_told_once_and_leaves_the_figures(model, tmp_path, capfd):
    model.metrics = {"evaluations": [EVALUATION]}
    model.save()
    with pytest.raises(CommandError, match="first was not evaluated, for the reason above; its figures are unchanged"):
        call_command("models", "evaluate", "first", str(tmp_path / "missing.csv"))
    assert "missing.csv cannot be read" in capfd.readouterr().err
    model.refresh_from_db()
    assert model.metrics == {"evaluations": [EVALUATION]}
    assert list(reports_folder(model).iterdir()) == []


def test_a_copy_that_cannot_be_written_is_refused_before_any_work(model, tmp_path):
    with pytest.raises(CommandError, match=f"argument --json: {tmp_path}/none/x cannot be written: there is no folder"):
        call_command("models", "evaluate", str(tmp_path / "small.csv"), "--json", str(tmp_path / "none" / "x"))


def test_figures_are_stored_even_when_a_copy_of_them_cannot_be_written(model, tmp_path, monkeypatch):
    def write_files(command, **options):
        paths = dict(itertools.pairwise(command))
        figures = EVALUATION | dict.fromkeys(("floor", "gallery", "leave_one_out"))
        Path(paths["--json"]).write_text(json.dumps(figures))
        Path(paths["--html"]).write_text("report")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", write_files)
    copy = tmp_path / ("x" * 251)  # its unfinished part has a longer name
    with pytest.raises(evaluation.EvaluationFailed, match=r"The figures are stored, but .* File name too long"):
        evaluation.evaluate_model_and_store_figures(model, tmp_path / "small.csv", {"html": copy})
    model.refresh_from_db()
    assert [found.headline for found in list_evaluations(model)] == [Figure(**EVALUATION["macro"]["map_at_r"])]
    assert [path.read_text() for path in reports_folder(model).iterdir()] == ["report"]


def test_without_an_active_model_one_must_be_named(tmp_path):
    make_model("candidate", version="first")
    with pytest.raises(CommandError, match="No model is active: name one, as in `models evaluate VERSION CSV`"):
        call_command("models", "evaluate", str(tmp_path / "small.csv"))


@pytest.mark.parametrize(
    ("names", "says"),
    [(("second", "small.csv"), "There is no model second"), (("a", "b", "c.csv"), "Name one model and one CSV")],
)
def test_names_that_make_no_sense_are_refused(names, says):
    make_model(version="first")
    with pytest.raises(CommandError, match=says):
        call_command("models", "evaluate", *names)


def test_a_figure_says_how_sure_it_is():
    assert str(Figure(0.5, 0.25, 0.75)) == "0.500 (0.250 to 0.750)"
    assert str(Figure(0.5)) == "0.500"
    assert str(Figure(None)) == "undefined"
