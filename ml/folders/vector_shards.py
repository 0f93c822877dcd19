"""A part of a long extraction on disk, whole or not at all, named by what it was made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from ml.atomic_files import open_atomic_file

from .extraction import Extraction
from .vector_folder import Halves, ModelMark, VectorFolderError


@dataclass(frozen=True)
class Shard:
    """The outcome for some pictures; `kept` and `refused` are positions among them.

    `vectors` are float16[n, dim], rows of length 1.
    """

    vectors: Halves
    kept: npt.NDArray[np.int64]
    refused: npt.NDArray[np.int64]
    reasons: npt.NDArray[np.str_]

    @classmethod
    def from_extraction(cls, extraction: Extraction, paths: Sequence[Path]) -> Shard:
        """What `extract_vectors(paths)` gave."""
        refused = np.setdiff1d(np.arange(len(paths)), extraction.kept)
        reasons = np.array([reason for _path, reason in extraction.refused], np.str_)
        return cls(extraction.vectors.astype(np.float16), extraction.kept, refused, reasons)

    @classmethod
    def read_if_whole(cls, path: Path) -> Shard | None:
        """The shard in this file; None when it is not there or damaged, and must be made again."""
        try:
            return cls.load(path)
        except (OSError, ValueError, TypeError, EOFError, BadZipFile):
            # Which of these numpy raises depends on where the file was cut off.
            return None

    @classmethod
    def load(cls, path: Path) -> Shard:
        """The shard in this file, which is there and whole."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**arrays)

    def write(self, path: Path) -> None:
        """Write the file, whole."""
        with open_atomic_file(path) as file:
            np.savez(file, vectors=self.vectors, kept=self.kept, refused=self.refused, reasons=self.reasons)


def fingerprint_files(paths: Sequence[Path], mark: ModelMark) -> str:
    """A name that changes with the model and with the name, size or modification time of any of the files.

    Raises:
        VectorFolderError: a file has gone.
    """
    digest = hashlib.sha256(json.dumps(asdict(mark)).encode())
    for path in paths:
        try:
            stat = path.stat()
        except OSError as exc:
            raise VectorFolderError(f"{path} cannot be read: {exc.strerror}.") from exc
        digest.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
