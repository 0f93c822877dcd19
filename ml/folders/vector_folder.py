"""A folder of vectors on disk: which pictures they belong to, which model made them, and exact search in them.

`extract.json` is written last, so a folder without it is not complete.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ml.atomic_files import open_atomic_text
from ml.errors import MlError
from ml.inference.arrays import Vectors
from ml.inference.embedder import Embedder

VECTORS, IDS, REFUSED, MANIFEST = "vectors.npy", "ids.csv", "refused.csv", "extract.json"
FORMAT = 1
CHUNK_ROWS = 65_536  # rows converted to float32 at a time: 262 MB at 1000 dimensions, however large the folder is

Halves = npt.NDArray[np.float16]


class VectorFolderError(MlError):
    """A folder of vectors is missing, incomplete, damaged or made by another model."""


@dataclass(frozen=True)
class ModelMark:
    """What must be equal for vectors to be comparable."""

    sha256: str
    dim: int
    size: int

    @classmethod
    def of_embedder(cls, embedder: Embedder) -> ModelMark:
        """The mark of a loaded model."""
        return cls(embedder.recipe["sha256"], embedder.dim, embedder.size)


@dataclass(frozen=True)
class Manifest:
    """What `extract.json` holds.

    Attributes:
        model: its version.
        folder: where the pictures were.
        pictures: a fingerprint of the picture files and the model.
    """

    model: str
    sha256: str
    dim: int
    size: int
    n: int
    refused: int
    folder: str
    pictures: str
    format: int = FORMAT

    @classmethod
    def read(cls, directory: Path) -> Manifest:
        """Read `extract.json`.

        Raises:
            VectorFolderError: it is missing or is not such a file.
        """
        path = directory / MANIFEST
        try:
            manifest = cls(**json.loads(path.read_text()))
        except FileNotFoundError as exc:
            raise VectorFolderError(f"{path} is missing: nothing was extracted to {directory}, or not all.") from exc
        except (OSError, ValueError, TypeError) as exc:
            raise VectorFolderError(f"{path} cannot be read: {exc}. Extract again.") from exc
        if manifest.format != FORMAT:
            raise VectorFolderError(f"{path} has format {manifest.format!r}, not {FORMAT}. Extract again.")
        return manifest

    def write(self, directory: Path) -> None:
        """Write `extract.json`, after every other file."""
        with open_atomic_text(directory / MANIFEST) as file:
            file.write(json.dumps(asdict(self), indent=2) + "\n")


@dataclass(frozen=True)
class Picture:
    """One row of `ids.csv`; `path` is relative to the folder the pictures were in."""

    id: str
    path: str
    label: str = ""


@dataclass(frozen=True)
class Hit:
    """One answer of a search, the best has rank 1."""

    rank: int
    similarity: float
    picture: Picture


class VectorFolder:
    """N unit vectors as float16[N, dim], mapped from disk, and their pictures."""

    def __init__(self, manifest: Manifest, vectors: Halves, pictures: Sequence[Picture]) -> None:
        self.manifest, self.vectors, self.pictures = manifest, vectors, pictures

    @classmethod
    def open(cls, directory: Path) -> VectorFolder:
        """Open a folder that `extract` wrote.

        Raises:
            VectorFolderError: a file is missing, damaged, or does not fit the others.
        """
        manifest = Manifest.read(directory)
        path = directory / VECTORS
        try:
            # The folder may be a stranger's, and a pickle in it could run code.
            vectors = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as exc:
            raise VectorFolderError(f"{path} cannot be read: {exc}. Extract again.") from exc
        pictures = read_picture_list(directory / IDS)
        expected = manifest.n, manifest.dim
        if vectors.shape != expected or vectors.dtype != np.float16 or len(pictures) != manifest.n:
            raise VectorFolderError(
                f"{directory} is damaged: {VECTORS} is {vectors.dtype}{list(vectors.shape)} and {IDS} has "
                f"{len(pictures)} rows; {MANIFEST} says float16{list(expected)}. Extract again."
            )
        return cls(manifest, vectors, pictures)

    def refuse_other_model(self, embedder: Embedder) -> None:
        """Compare the model that made the vectors with the one that makes the query.

        Raises:
            VectorFolderError: vectors of the two cannot be compared.
        """
        mine = ModelMark(self.manifest.sha256, self.manifest.dim, self.manifest.size)
        theirs = ModelMark.of_embedder(embedder)
        if mine != theirs:
            raise VectorFolderError(
                f"The vectors were made by model {self.manifest.model} ({_describe_mark(mine)}), the query would be by "
                f"{embedder.version} ({_describe_mark(theirs)}); search with the same --model or extract again."
            )

    def search(self, query: Vectors, k: int) -> list[Hit]:
        """The `k` rows with the largest inner product with `query` (float32[dim]), found exactly.

        Rows of equal similarity come in the order of the folder.
        """
        best = np.empty(0, np.int64)
        similarity = np.empty(0, np.float32)
        for start in range(0, len(self.vectors), CHUNK_ROWS):
            part = self.vectors[start : start + CHUNK_ROWS].astype(np.float32) @ query
            similarity = np.concatenate([similarity, part])
            best = np.concatenate([best, np.arange(start, start + len(part))])
            first = np.argsort(-similarity, kind="stable")[:k]
            best, similarity = best[first], similarity[first]
        rows = zip(best.tolist(), similarity.tolist(), strict=True)
        return [Hit(rank, value, self.pictures[row]) for rank, (row, value) in enumerate(rows, 1)]


def read_picture_list(path: Path) -> list[Picture]:
    """The rows of `ids.csv`.

    Raises:
        VectorFolderError: it is missing or no such file.
    """
    try:
        # On Linux a name may be bytes that are no text; surrogates bring these bytes back when the file is opened.
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            return [Picture(**row) for row in csv.DictReader(file, strict=True)]
    except (OSError, csv.Error, TypeError) as exc:
        raise VectorFolderError(f"{path} cannot be read: {exc}. Extract again.") from exc


def write_picture_list(path: Path, pictures: Sequence[Picture]) -> None:
    """Write `ids.csv`; names that are no text keep their bytes."""
    with open_atomic_text(path, newline="", errors="surrogateescape") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("id", "path", "label"))
        writer.writerows((picture.id, picture.path, picture.label) for picture in pictures)


def _describe_mark(mark: ModelMark) -> str:
    return f"sha256 {mark.sha256[:12]}, {mark.dim} dimensions, {mark.size} px"
