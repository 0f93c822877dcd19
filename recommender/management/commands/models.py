"""`manage.py models list|register|calibrate|backfill|activate|rollback|retire|evaluate`."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ml.commands.arguments import parse_writable_path
from ml.commands.model_options import ExportOptionError, add_model_options, refuse_encoder_options
from ml.errors import MlError
from ml.exporting.agreement import explain_precision
from ml.recipe import ENCODERS, SOURCES, Recipe
from recommender import registry
from recommender.embedding.model_files import ModelSource
from recommender.embedding.sweep import sweep_queue
from recommender.errors import ModelNotReady, RegistryError
from recommender.models import Calibration, EmbeddingModel
from recommender.registry.backfill_wait import wait_until_model_ready
from recommender.registry.evaluation import EvaluationFailed, evaluate_model_and_store_figures
from recommender.registry.model_table import format_table, summarise_models

# Many weights files have one of these names, which tells nothing of what is inside, so the model is named by the
# folder.
UNTELLING = ("weights", "model", "best", "last")


class Command(BaseCommand):
    help = "Register embedding models, measure them, and choose which one answers."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="every model: state, backfill, figures")
        listing.add_argument("--json", action="store_true", dest="as_json", help="for programs")
        self._add_register_arguments(actions.add_parser("register", help="export and add a candidate"))
        backfill = actions.add_parser("backfill", help="embed every photo with a candidate")
        backfill.add_argument("name", metavar="VERSION")
        backfill.add_argument(
            "--wait",
            action="store_true",
            help="show progress, and return when it can be activated; Ctrl-C ends only the waiting",
        )
        for action, text in (
            ("calibrate", "fit anew what its cosines mean, as when the site has more photos"),
            ("activate", "answer with it from now on; the one before stays on standby"),
            ("retire", "embed nothing with it any more"),
        ):
            actions.add_parser(action, help=text).add_argument("name", metavar="VERSION")
        actions.add_parser("rollback", help="answer with the model before again")
        self._add_evaluate_arguments(actions.add_parser("evaluate", help="measure a model on labelled photos"))

    def _add_register_arguments(self, parser: ArgumentParser) -> None:
        add_model_options(parser)
        parser.add_argument("--version", dest="name", help="the model's name in every answer (default: its weights)")
        parser.add_argument(
            "--photos",
            type=Path,
            metavar="DIR",
            help="choose its precision on these photos, 800 or more (default: the site's own, where there are as many)",
        )
        parser.add_argument("--activate", action="store_true", help="answer with it at once")

    def _add_evaluate_arguments(self, parser: ArgumentParser) -> None:
        parser.usage = "manage.py models evaluate [VERSION] CSV [--images DIR] [--group COLUMN] [--json FILE]"
        parser.add_argument(
            "names", nargs="+", metavar="[VERSION] CSV", help="the model (default: the active one); image,label"
        )
        parser.add_argument("--images", type=Path, metavar="DIR", help="where the pictures are (default: beside CSV)")
        parser.add_argument(
            "--group", metavar="COLUMN", help="photos with the same value here do not count for one another"
        )
        parser.add_argument(
            "--at-least", type=int, metavar="N", help="photos a class needs to count in means over classes"
        )
        parser.add_argument(
            "--trained-photos",
            choices=("refuse", "drop", "keep"),
            help="what to do with photos, or copies of photos, that it was trained on (default: refuse)",
        )
        parser.add_argument("--json", type=parse_writable_path, metavar="FILE", help="write every figure here as well")
        parser.add_argument(
            "--html", type=parse_writable_path, metavar="FILE", help="write the report with pictures here as well"
        )

    def handle(self, *args: object, action: str, **options: object) -> None:
        actions: dict[str, Callable[..., None]] = {
            "list": self._list_models,
            "register": self._register_model,
            "calibrate": self._calibrate_model,
            "backfill": self._backfill_model,
            "activate": self._activate_model,
            "rollback": self._roll_back_model,
            "retire": self._retire_model,
            "evaluate": self._evaluate_model,
        }
        try:
            actions[action](**options)
        except (RegistryError, EvaluationFailed, ExportOptionError) as exc:
            raise CommandError(str(exc)) from exc
        except KeyboardInterrupt as exc:
            raise CommandError("Stopped.", returncode=130) from exc

    def _list_models(self, *, as_json: bool, **options: object) -> None:
        summaries = summarise_models()
        if as_json:
            self.stdout.write(json.dumps([summary.as_dict() for summary in summaries], indent=2))
        elif summaries:
            self.stdout.write(format_table(summaries))
        else:
            self.stdout.write("No model is registered: `manage.py models register --weights starter --activate`.")

    def _register_model(
        self, *, name: str | None, photos: Path | None, activate: bool, weights: str, encoder: str, **options: Any
    ) -> None:
        if weights:
            refuse_encoder_options(options)
        source = find_source(weights or "", encoder or "", options)
        model = registry.register_source(name or name_after_source(source), source, photos=photos)
        self.stdout.write(f"{model.version} is registered: {model.arch}, {model.dim} dimensions.")
        recipe = Recipe(**model.recipe)
        if recipe.output:
            self.stdout.write(f"Its vectors are made of {recipe.output!r}; --output names another tensor.")
        if photos or recipe.agreement:
            self.stdout.write(explain_precision(recipe))
        self._describe_calibration(model)
        if activate:
            self._activate_model(name=model.version)

    def _calibrate_model(self, *, name: str, **options: object) -> None:
        model = find_model(name)
        try:
            registry.calibrate(model)
        except (MlError, ModelNotReady) as exc:
            raise CommandError(f"{name} cannot be calibrated: {exc}") from exc
        self._describe_calibration(model)

    def _describe_calibration(self, model: EmbeddingModel) -> None:
        if row := Calibration.objects.filter(model=model).first():
            self.stdout.write(registry.describe_calibration(row))
        elif registry.needs_calibration(model):
            self.stderr.write(f"Nobody knows what its cosines mean yet: `manage.py models calibrate {model.version}`.")

    def _backfill_model(self, *, name: str, wait: bool, **options: object) -> None:
        model = find_model(name)
        if not (wait and model.state == EmbeddingModel.State.BACKFILLING):
            registry.start_backfill(model)
        sweep_queue()
        if wait:
            wait_until_model_ready(model, self.stderr.write)
            self.stdout.write(f"{name} is ready: `manage.py models activate {name}`.")
        else:
            self.stdout.write(f"{name} is being backfilled; `manage.py models list` says how far it is.")

    def _activate_model(self, *, name: str, **options: object) -> None:
        registry.activate(find_model(name))
        self.stdout.write(f"{name} is active.")

    def _roll_back_model(self, **options: object) -> None:
        self.stdout.write(f"{registry.roll_back().version} is active again.")

    def _retire_model(self, *, name: str, **options: object) -> None:
        registry.retire_and_delete(find_model(name))
        self.stdout.write(f"{name} is retired: no photo is embedded by it any more.")

    def _evaluate_model(self, *, names: list[str], **options: Any) -> None:
        if len(names) > 2:
            raise CommandError(f"Name one model and one CSV, not {' '.join(names)}.")
        model = find_model(names[0]) if len(names) == 2 else EmbeddingModel.objects.find_active()
        if model is None:
            raise CommandError("No model is active: name one, as in `models evaluate VERSION CSV`.")
        copies = {name: options[name] for name in ("json", "html")}
        evaluation = evaluate_model_and_store_figures(
            model,
            Path(names[-1]),
            copies,
            **{name: options[name] for name in ("images", "group", "at_least", "trained_photos")},
        )
        self.stdout.write(
            f"{model.version} on {evaluation.data}: mAP@R {evaluation.headline}; `models list` shows it as well."
        )


def find_source(weights: str, encoder: str, options: Mapping[str, Any]) -> ModelSource:
    """What to make a model of; paths become absolute, because another process in another folder opens them."""
    known = SOURCES if weights else ENCODERS
    location = weights or encoder
    if location not in known:
        path = Path(location)
        if not path.is_file():
            kind = "are no weights" if weights else "is no encoder"
            raise CommandError(f"There {kind} '{location}': neither one of {', '.join(known)} nor a file.")
        location = str(path.absolute())
    said = {name: options[name] for name in ("size", "mean", "std", "output", "licence", "source")}
    return ModelSource(weights=location if weights else "", encoder="" if weights else location, **said)


def name_after_source(source: ModelSource) -> str:
    path = Path(source.location)
    if source.is_word:
        return source.location
    folders = [name for name in path.parts[:-1] if name != "onnx"]  # where exporters put what the folder above names
    return folders[-1] if path.stem in UNTELLING and folders else path.stem


def find_model(version: str) -> EmbeddingModel:
    try:
        return EmbeddingModel.objects.get(version=version)
    except EmbeddingModel.DoesNotExist as exc:
        known = ", ".join(EmbeddingModel.objects.values_list("version", flat=True)) or "none"
        raise CommandError(f"There is no model {version}; there are: {known}.") from exc
