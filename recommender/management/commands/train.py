"""Train on the site's photos. This process never loads torch, so `python -m ml train` runs beside it."""

from __future__ import annotations

import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from ml.catalogue.counts import describe_count
from ml.commands.training_options import add_training_options, format_training_arguments
from ml.recipe import WEIGHTS
from ml.training.files import ENCODER, has_finished_epoch
from recommender.models import EmbeddingModel
from recommender.registry.training_photos import count_trainable_classes, list_training_photos, write_table

# Each kind of labels has a table of its own, so that a run that goes on reads the one that it began with.
TABLES = {"path": "photos.csv", "root": "photos-root.csv"}


class Command(BaseCommand):
    help = "Train a network on the photos of active listings and their categories; the same command goes on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--labels",
            choices=("path", "root"),
            default="path",
            help="path: each category is a class; root: each department (default: %(default)s)",
        )
        add_training_options(parser)

    def handle(self, *args: object, out: str, labels: str, **options: object) -> None:
        folder = Path(out).resolve()
        table = folder / TABLES[labels]
        if not has_finished_epoch(folder):
            self._write_photo_table(table, labels)
        elif table.exists():
            self.stdout.write(f"Going on with the photos of the first start, {table}.")
        else:
            raise CommandError(f"{folder} holds a run that began without --labels {labels}; choose another folder.")
        self._run_training(folder, table, options)
        made = f"--encoder {folder / ENCODER}" if options["head"] else f"--weights {folder / WEIGHTS}"
        self.stdout.write(f"Next: manage.py models register {made} --version NAME")

    def _write_photo_table(self, table: Path, labels: str) -> None:
        rows = list_training_photos(labels)
        classes = count_trainable_classes(rows)
        if classes < 2:
            raise CommandError(
                "Training needs photos of active listings in at least two categories, two photos each; "
                f"there {'is 1 such category' if classes == 1 else 'is none'}."
            )
        try:
            write_table(table, rows)
        except OSError as exc:
            raise CommandError(f"{table} cannot be written: {exc.strerror}.") from exc
        self.stdout.write(f"{table}: {describe_count(len(rows), 'photo')}, {classes} categories with two or more.")

    def _run_training(self, folder: Path, table: Path, options: dict[str, Any]) -> None:
        self.stdout.flush()
        command = [sys.executable, "-m", "ml", "train", str(table), "--images", str(settings.MEDIA_ROOT)]
        # The training runs in another folder, so what names a file here is named from the root.
        files = {"weights": _resolve_file(options["weights"]), "teacher": _resolve_files(options["teacher"])}
        chosen = options | files | {"out": folder, "head": options["head"] and _resolve_model(options["head"])}
        command += format_training_arguments(chosen)
        training = subprocess.Popen(command, cwd=settings.BASE_DIR)  # noqa: S603 - no shell, and our own module
        try:
            status = training.wait()
        except KeyboardInterrupt:
            # Ctrl-C reaches the training too, which saves its state before it ends: that is waited for.
            status = training.wait()
        if status:
            raise CommandError(f"The training stopped with status {status}.", returncode=max(1, status))


def _resolve_model(name: str) -> str:
    """The directory of a registered model, else what `_resolve_file` makes of the name."""
    model = EmbeddingModel.objects.filter(version=name).first()
    return _resolve_file(name) if model is None else str(model.directory.resolve())


def _resolve_file(name: str) -> str:
    path = Path(name)
    return str(path.resolve()) if path.exists() else name


def _resolve_files(names: str | None) -> str | None:
    return names and ",".join(_resolve_file(name.strip()) for name in names.split(","))
