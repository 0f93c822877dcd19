"""What TensorBoard shows of a run. A resumed run continues its curves: no point is missing and none is there twice.

This loads TensorBoard, whose writer starts a thread, so it is imported where a run starts and not before.
"""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from .files import TENSORBOARD
from .loop import Run
from .validation.extraction import extract_vectors
from .validation.retrieval import Judgement, can_be_judged, judge_network
from .validation.sheets import confusion_picture, make_thumbnails, neighbour_sheet

SAMPLE = 256  # training pictures to show neighbours among where none are set aside; all would take too long
# The projector reads vectors as text and all its pictures as one, so few of both keep a page quick to open.
PROJECTED, COMPONENTS, SPRITE_PX = 1000, 64, 40
QUALITY = 80  # of JPEG files: an event file grows by a sheet with every epoch that was the best so far


def wait_for_later_event_file_name(folder: Path) -> None:
    """Wait until a new event file is named later than those in `folder`.

    Names begin with the second in which a file was made, and TensorBoard reads files in the order of their names. In
    the same second the file of a resumed run could be read before the file whose points it crosses out.
    """
    while any(folder.glob(f"events.out.tfevents.{int(time.time())}.*")):
        time.sleep(0.05)


class Board:
    """The event files of one run, below its folder; `add_epoch` belongs before the epoch's checkpoint."""

    def __init__(self, run: Run) -> None:
        """Cross out what an earlier process wrote of later epochs; `run` has taken up its checkpoint already."""
        self.folder = run.folder / TENSORBOARD
        wait_for_later_event_file_name(self.folder)
        self._writer = SummaryWriter(str(self.folder), purge_step=len(run.epochs))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._writer.close()

    def add_epoch(self, run: Run) -> None:
        """Add the epoch that has just ended."""
        epoch = run.epochs[-1]
        scalars = {"loss/training": epoch.loss, "accuracy/training": epoch.accuracy, "rate/head": epoch.lr}
        if run.plan.trunk_lr:
            scalars["rate/trunk"] = epoch.lr * run.plan.trunk_lr
        scalars |= {f"validation/{name}": value for name, value in epoch.validation.items()}
        scalars["speed/pictures_per_second"] = epoch.pictures / epoch.seconds
        for tag, value in scalars.items():
            self._writer.add_scalar(tag, value, epoch.number)
        if run.best.epoch == epoch.number:
            self._add_neighbours_and_confusion(run, epoch.number)
        self._writer.flush()

    def _add_neighbours_and_confusion(self, run: Run, step: int) -> None:
        judged = run.judgement or _judge_sample(run)
        if judged is None:
            return
        where = "validation" if run.validation is not None else "training"
        self._add_picture(f"neighbours/{where}", neighbour_sheet(judged), step, "JPEG")
        self._add_picture(f"confusion/{where}", confusion_picture(judged.confusion, judged.photos.classes), step, "PNG")

    def _add_picture(self, tag: str, picture: Image.Image, step: int, form: str) -> None:
        encoded = io.BytesIO()
        picture.save(encoded, form, quality=QUALITY)
        image = Summary.Image(
            height=picture.height, width=picture.width, colorspace=3, encoded_image_string=encoded.getvalue()
        )
        value = Summary.Value(tag=tag, image=image)
        self._file_writer.add_summary(Summary(value=[value]), step)

    @property
    def _file_writer(self) -> Any:  # torch declares no type for it
        return self._writer.file_writer

    def add_outcome(self, run: Run) -> None:
        """Add what is known only at the end: the hyperparameters with their outcome, and the embedding projector."""
        best = run.epochs[run.best.epoch]
        outcome = {f"outcome/{name}": value for name, value in {"loss": best.loss, **best.validation}.items()}
        for summary in hparams(_plain_values(run.plan.as_dict()), outcome):  # type: ignore[no-untyped-call]
            self._file_writer.add_summary(summary)
        for tag, value in outcome.items():
            # Written at the step after the last epoch, because a run that is resumed purges everything from there on.
            self._writer.add_scalar(tag, value, len(run.epochs))
        self._add_projector(run)
        self._writer.flush()

    def _add_projector(self, run: Run) -> None:
        photos = (run.validation or run.photos).draw_sample(PROJECTED, run.plan.seed)
        network = run.best_network().to(run.learner.device)
        size = run.epochs[run.best.epoch].size
        vectors = extract_vectors(network, photos.pixels, size, run.learner.device)
        sprites = make_thumbnails(photos.pixels, np.arange(len(photos.targets)), SPRITE_PX)
        # A process that was killed here may have left half a projector, and the writer would warn that it is there.
        shutil.rmtree(self.folder / f"{0:05}", ignore_errors=True)
        self._writer.add_embedding(
            np.round(principal_components(vectors, COMPONENTS), 4),
            # The projector would take a tab in the name of a class for the beginning of another column.
            metadata=[photos.classes[target].replace("\t", " ") for target in photos.targets],
            label_img=torch.from_numpy(sprites).permute(0, 3, 1, 2).float() / 255,
            tag="pictures",
        )


def _judge_sample(run: Run) -> Judgement | None:
    """Search among some training pictures, whatever their groups; None if no two of them are of a class."""
    photos = replace(run.photos.draw_sample(SAMPLE, run.plan.seed), groups=None)
    if not can_be_judged(photos):
        return None
    return judge_network(run.learner.result, photos, run.epochs[-1].size, run.learner.device)


def principal_components(vectors: npt.NDArray[np.float32], most: int) -> npt.NDArray[np.float64]:
    """Return float32[N, dim] in its first principal components: float64[N, at most `most`].

    Distances are nearly kept, and the files that hold the vectors as text get small.
    """
    centred = vectors.astype(np.float64) - vectors.mean(axis=0)
    left, scale, _ = np.linalg.svd(centred, full_matrices=False)
    return (left * scale)[:, :most]


def _plain_values(plan: Mapping[str, object]) -> dict[str, str | float]:
    return {name: value if isinstance(value, int | float) else str(value) for name, value in plan.items()}
