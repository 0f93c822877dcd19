"""A model directory is written beside its place and renamed into it, so that no process ever sees half of one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ml.atomic_files import make_temporary_folder_beside, open_atomic_file, put_folder_in_place, sync_to_disk
from ml.recipe import RECIPE, ModelFilesError, Recipe


def refuse_existing_directory(directory: Path) -> None:
    """Raise ModelFilesError where there is something: a caller asks before the work, which takes minutes."""
    if directory.exists():
        raise ModelFilesError(f"{directory} exists already; models are never overwritten. Choose another directory.")


@contextmanager
def write_model_directory(directory: Path) -> Iterator[Path]:
    """A folder to write a model to, which becomes `directory` when the block ends, and is deleted if it fails.

    Raises:
        ModelFilesError: `directory` exists, or cannot be written.
    """
    refuse_existing_directory(directory)
    with ExitStack() as stack:
        try:
            directory.parent.mkdir(parents=True, exist_ok=True)
            part = stack.enter_context(make_temporary_folder_beside(directory))
        except OSError as exc:
            raise ModelFilesError(f"{directory} cannot be written: {exc.strerror}.") from exc
        yield part
        _publish_model(part, directory)


def record_origin(directory: Path, licence: str, source: str) -> None:
    """Write into a model's recipe whose it is and where it comes from, as whoever made the model said."""
    recipe = dataclasses.replace(Recipe.read(directory), licence=licence, source=source)
    with open_atomic_file(directory / RECIPE) as file:
        file.write(recipe.as_json().encode())


def _publish_model(part: Path, directory: Path) -> None:
    """Rename a complete directory into place; what a power cut leaves is either all of it or none."""
    # A temporary folder can be read by its owner alone, but whoever serves the model may be another user.
    part.chmod(0o755)
    for path in part.iterdir():
        sync_to_disk(path)
    try:
        put_folder_in_place(part, directory)
    except OSError as exc:
        raise ModelFilesError(f"{directory} cannot be written: {exc.strerror}.") from exc
