"""What teachers say of views of pictures, kept in files, because asking costs as much as learning.

A teacher sees the same part of a picture as the student (Beyer et al., "Knowledge distillation: A good teacher is
patient and consistent", CVPR 2022), at its own side and in the light it was taken in. Views are drawn from the seed,
the picture's position and the view's number, so that what was said of a view is true in every epoch that shows it
again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ml.inference.encoders.encoder import Encoder
from ml.training.data.label_sets import UNLABELLED
from ml.training.data.photo_pixels import Photos
from ml.training.data.views import View, cut_view, draw_view
from ml.training.errors import TrainingError
from ml.training.plan import Plan

Ints = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

CHUNK = 256  # pictures asked for at a time; what was answered is kept when the run is stopped between two chunks
SAMPLE = 4096  # pictures whose mean is taken for what all pictures have in common


@dataclass(frozen=True)
class EpochLessons:
    """The views of one epoch, and what teachers say of those that it shows."""

    teaching: Teaching
    number: int
    answers: npt.NDArray[np.float16]
    mean: Vectors

    def view(self, position: int) -> View:
        """Return which part of the picture at this position is seen."""
        return self.teaching.draw_view(position, self.number)

    def vectors(self, positions: Ints) -> Vectors:
        """Return float32[B, dim] of the views of int64[B] positions: rows of length 1, or zeros if nobody was asked."""
        said = self.teaching.join_vectors(self.answers[positions].astype(np.float32) - self.mean)
        said[~self.teaching.asked[positions]] = 0
        return said


class Teaching:
    """Asks teachers of views of `photos`, as the plan says, and remembers in `folder` what they said.

    Raises:
        TrainingError: the plan names a label set that the photos do not have, or nobody is to be asked of any.
    """

    def __init__(self, teachers: Sequence[Encoder], photos: Photos, plan: Plan, folder: Path) -> None:
        self.teachers, self.photos, self.folder = teachers, photos, folder
        self.how, self.seed = plan.augmentation, plan.seed
        self.dim = sum(teacher.dim for teacher in teachers)
        self.asked = _find_asked_photos(photos, plan.untaught)

    def prepare_lessons(self, number: int, order: Ints) -> EpochLessons:
        """Ask teachers of view `number` of the pictures in int64[M] `order`, where that was not done before."""
        return EpochLessons(self, number, self._collect_answers(number, order), self._compute_mean())

    def _collect_answers(self, number: int, positions: Ints) -> np.memmap:
        """Return float16[N, dim] that knows view `number` at int64[M] positions, after asking."""
        answers, known = self._open_answers(number)
        missing = np.setdiff1d(positions[self.asked[positions]], np.flatnonzero(known))
        for start in tqdm(range(0, len(missing), CHUNK), desc=f"teachers, view {number + 1}", disable=None):
            chunk = missing[start : start + CHUNK]
            answers[chunk] = self._ask_teachers(chunk, number)
            answers.flush()
            # A row is called known only when its numbers are in the file.
            known[chunk] = 1
        return answers

    def draw_view(self, position: int, number: int) -> View:
        """Return view `number` of the picture at a position: the same in every epoch and process."""
        rng = np.random.default_rng((self.seed, number, int(position)))
        height, width = self.photos.pixels.sizes[position]
        return draw_view((int(height), int(width)), self.how.area, self.how.aspect, rng)

    def join_vectors(self, vectors: Vectors) -> Vectors:
        """Scale float32[B, dim], teachers side by side, so that each counts alike and rows have length 1."""
        ends = np.cumsum([teacher.dim for teacher in self.teachers])[:-1]
        parts = [_scale_to_unit_length(part) for part in np.split(vectors, ends, axis=1)]
        return np.concatenate(parts, axis=1) / np.float32(np.sqrt(len(parts)))

    def _ask_teachers(self, positions: Ints, number: int) -> Vectors:
        parts = []
        for teacher in self.teachers:
            views = [
                cut_view(self.photos.pixels.array(each), self.draw_view(each, number), teacher.side)
                for each in positions
            ]
            parts.append(_scale_to_unit_length(teacher.embed(np.stack(views))))
        return np.concatenate(parts, axis=1)

    def _open_answers(self, number: int) -> tuple[np.memmap, np.memmap]:
        """Return float16[N, dim], unit vectors of each teacher, and uint8[N], 1 where they are known."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path, count = self.folder / f"taught-{self._fingerprint}-{number}", len(self.photos.targets)
        answers = _open_array(path.with_suffix(".f16"), np.float16, (count, self.dim))
        return answers, _open_array(path.with_suffix(".known"), np.uint8, (count,))

    def _compute_mean(self) -> Vectors:
        """Return float32[dim], the mean of what teachers say of the first view of some pictures."""
        sample = np.random.default_rng(self.seed).permutation(np.flatnonzero(self.asked))[:SAMPLE]
        answers = self._collect_answers(0, sample)
        return np.asarray(answers[np.sort(sample)], np.float32).mean(axis=0)

    @property
    def _fingerprint(self) -> str:
        """What the answers depend on: pictures, teachers and how views are drawn."""
        names = [teacher.name for teacher in self.teachers]
        drawn = f"{self.photos.fingerprint}{names}{self.how.area}{self.how.aspect}{self.seed}"
        return hashlib.sha256(drawn.encode()).hexdigest()[:16]


def _find_asked_photos(photos: Photos, untaught: Sequence[str]) -> Flags:
    """Return bool[N], False where a picture has a label in one of the label sets of `untaught`."""
    asked = np.ones(len(photos.targets), bool)
    sets = {one.name: one for one in photos.label_sets}
    for name in untaught:
        if name not in sets:
            raise TrainingError(f"There is no label set {name!r}; the table has: {', '.join(sets) or 'none'}.")
        asked &= sets[name].targets == UNLABELLED
    if not asked.any():
        raise TrainingError(f"Teachers are asked of no picture: all have a label in {', '.join(untaught)}.")
    return asked


def _scale_to_unit_length(vectors: Vectors) -> Vectors:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))


def _open_array(path: Path, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> np.memmap:
    return np.memmap(path, dtype, "r+" if path.exists() else "w+", shape=shape)
