"""`python -m ml train`: from files and choices to a run, and from the run to files."""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ml.catalogue.counts import describe_count
from ml.exporting.model_source import read_trained_photos_of
from ml.folders.perceptual_hash import hash_files
from ml.folders.photo_set import PhotoSet, read_photo_set
from ml.folders.trained_photos import trained_photos_path, write_trained_photos
from ml.inference.encoders.encoder import name_by_content, read_encoder
from ml.network.resnet import Architecture
from ml.network.weights import weights_path
from ml.recipe import WEIGHTS, file_sha256

from .data.label_sets import LabelSet, has_label_sets, read_labelled_pictures
from .data.photo_pixels import Photos, decode_photos
from .data.pixels import delete_cached_pixels
from .data.split import split_photos
from .errors import TrainingError
from .files import CACHE, find_final_weights, has_finished_epoch
from .loop import Run
from .outcome import record_or_compare_plan_options, write_best_weights
from .plan import DISTIL, RECIPES, Plan
from .starting import StartingNetwork, make_starting_network
from .teaching.teaching import Teaching
from .validation.retrieval import can_be_judged

# Share of the pictures held out for validation by default; small, because the network does not train on them.
VALIDATION_SHARE = 0.1

# The shorter side of decoded pictures, as a multiple of the network's side. The smallest square crop is half as wide
# and high as its picture, so it is enlarged by a third.
DECODED_SIDE = 1.5


def run_training(options: Namespace) -> None:
    """Start the run that `options` (of `ml.commands.train`) describe, or go on with it, and print its course.

    Raises:
        MlError: it cannot start or go on; the sentence says why.
    """
    folder = Path(options.out)
    pictures, judged, label_sets = _read_training_and_validation_sets(options, begun=has_finished_epoch(folder))
    starting = _make_starting_network(options)
    plan = _choose_plan(options, starting, len(pictures))
    record_or_compare_plan_options(
        folder, _collect_plan_options(options, plan, starting.architecture, pictures, judged)
    )
    if path := find_final_weights(folder):
        print(f"{folder} is a finished run; its weights are {path}. Choose another folder to train again.")
        return
    print(_describe_run(options, starting, pictures, judged), flush=True)
    teachers = _split_names(options.teacher or "")
    run = _decode_photos_and_make_run(folder, plan, starting, pictures, judged, label_sets, teachers)
    _note_trained_photos(folder / WEIGHTS, options.weights, pictures)
    train_and_report_run(run)
    path = write_best_weights(run, starting.architecture, _weights_name(options.weights))
    delete_cached_pixels(folder / CACHE)
    print(f"{path}: the network of {run.epochs[run.best.epoch]}")


def _read_training_and_validation_sets(
    options: Namespace, *, begun: bool
) -> tuple[PhotoSet, PhotoSet | None, tuple[LabelSet, ...]]:
    """Return what is trained on, what is judged by, and the label sets of the first where it has any.

    A run that has begun has decoded its pictures, so their files may be gone since.
    """
    if options.validation and options.validation_share:
        raise TrainingError("--validation and --validation-share exclude each other; give one of them.")
    judged = read_photo_set(options.validation, options.images, there=not begun) if options.validation else None
    if has_label_sets(options.table):
        if options.recipe != DISTIL.recipe:
            raise TrainingError(
                f"{options.table} is a table of label sets, for --recipe distil; {options.recipe} takes image,label."
            )
        if options.validation_share:
            raise TrainingError("Of a table of label sets nothing is set aside; give what to judge by as --validation.")
        pictures = read_labelled_pictures(options.table, options.images, there=not begun)
        return pictures.kinds, judged, pictures.label_sets
    photos = read_photo_set(options.table, options.images, there=not begun)
    share = VALIDATION_SHARE if options.validation_share is None else options.validation_share
    if judged is None and share:
        return *split_photos(photos, share, options.seed or 1), ()
    return photos, judged, ()


def _make_starting_network(options: Namespace) -> StartingNetwork:
    return make_starting_network(
        options.weights,
        arch=options.arch,
        dim=options.dim,
        size=options.size,
        pooling=RECIPES[options.recipe].pooling,
        seed=options.seed or 1,
    )


def _choose_plan(options: Namespace, starting: StartingNetwork, pictures: int) -> Plan:
    """Return the recipe with what the options change, for this network and for batches of at most all pictures."""
    architecture = starting.architecture
    names = ("epochs", "minutes", "lr", "trunk_lr", "l2_sp", "keep", "batch", "patience", "seed")
    chosen: dict[str, Any] = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    # With a head that is new, or made for naming things, the start is poor at searching: by default none of it is kept.
    if options.keep is None and (starting.note or starting.folded or options.weights == "imagenet"):
        chosen["keep"] = 0.0
    if (options.recipe == DISTIL.recipe) != bool(options.teacher):
        raise TrainingError("--recipe distil and --teacher need each other.")
    if options.untaught and not options.teacher:
        raise TrainingError("--untaught is about teachers; give a --teacher too.")
    if options.teacher:
        chosen["teachers"] = tuple(name_by_content(name) for name in _split_names(options.teacher))
        chosen["untaught"] = _split_names(options.untaught or "")
    if options.freeze is not None:
        chosen["frozen"] = _split_names(options.freeze)
    plan = dataclasses.replace(
        RECIPES[options.recipe], pooling=architecture.pooling, sizes=((1.0, architecture.size),), **chosen
    )
    return dataclasses.replace(plan, batch=min(plan.batch, pictures))


def _split_names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _collect_plan_options(
    options: Namespace, plan: Plan, architecture: Architecture, photos: PhotoSet, judged: PhotoSet | None
) -> dict[str, object]:
    """Return all that makes two runs the same; files are named by their content, so that a renamed one is no other."""
    weights = weights_path(options.weights)
    return {
        **architecture.as_dict(),
        "weights": _weights_name(options.weights),
        "weights_sha256": file_sha256(weights) if weights.is_file() else "",
        "table_sha256": file_sha256(options.table),
        "validation_sha256": file_sha256(options.validation) if options.validation else "",
        "pictures": len(photos),
        "validation_pictures": 0 if judged is None else len(judged),
        **plan.as_dict(),
    }


def _weights_name(weights: str) -> str:
    return Path(weights).name


def _describe_run(options: Namespace, starting: StartingNetwork, photos: PhotoSet, judged: PhotoSet | None) -> str:
    note = f" ({starting.note})" if starting.note else ""
    by = "judged by its loss alone" if judged is None else f"judged by {describe_count(len(judged), 'other')}"
    return (
        f"{options.recipe}: {starting.architecture} from {options.weights}{note}, "
        f"on {describe_count(len(photos), 'picture')} of {len(photos.classes)} classes, {by}"
    )


def _decode_photos_and_make_run(
    folder: Path,
    plan: Plan,
    starting: StartingNetwork,
    pictures: PhotoSet,
    judged: PhotoSet | None,
    label_sets: tuple[LabelSet, ...],
    teachers: tuple[str, ...],
) -> Run:
    side, cache = round(DECODED_SIDE * starting.architecture.size), folder / CACHE
    photos = dataclasses.replace(decode_photos(pictures, side, cache), label_sets=label_sets)
    if teachers:
        photos = add_teachers(photos, plan, cache, teachers)
    trained = starting.take_folded_weights(photos.pixels)
    return Run(
        folder,
        plan,
        starting.network,
        starting.architecture.dim,
        photos,
        None if judged is None else _drop_groups_if_unjudgeable(decode_photos(judged, side, cache)),
        start=trained if plan.l2_sp or plan.keep else None,
    )


def add_teachers(photos: Photos, plan: Plan, cache: Path, teachers: Sequence[str]) -> Photos:
    """Return the photos with teachers, named as for `read_encoder`; what these said before is in `cache`.

    Raises:
        EncoderError: a teacher cannot be had.
        TrainingError: see `Teaching`.
    """
    encoders = [read_encoder(name, threads=torch.get_num_threads()) for name in teachers]
    return dataclasses.replace(photos, teachers=Teaching(encoders, photos, plan, cache))


def _note_trained_photos(weights: Path, start: str, photos: PhotoSet) -> None:
    """Write down, once, what the network learns from and what its start learned from, as far as that is known."""
    if trained_photos_path(weights).exists():
        return
    write_trained_photos(weights, hash_files(photos.images).hashes, read_trained_photos_of(start))


def _drop_groups_if_unjudgeable(photos: Photos) -> Photos:
    """Return the validation pictures, without their groups where no picture has another to find otherwise.

    Raises:
        TrainingError: no picture has another one of its class.
    """
    together = dataclasses.replace(photos, groups=None)
    if not can_be_judged(together):
        raise TrainingError(
            "No validation picture has another of its class to find. Add pictures, or train without validation: "
            "--validation-share 0."
        )
    if can_be_judged(photos):
        return photos
    print("The validation pictures of a class are all of one group, so pictures of one group may find each other.")
    return together


def train_and_report_run(run: Run) -> None:
    """Start a run or go on with it; print each epoch and show it in TensorBoard."""
    from .tensorboard import Board

    run.resume()
    with Board(run) as board:

        def show_epoch(run: Run) -> None:
            board.add_epoch(run)
            print(run.epochs[-1], flush=True)

        run.train(show_epoch)
        board.add_outcome(run)
