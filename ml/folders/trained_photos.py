"""Which photos a network has learned from: their perceptual hashes, in a file beside its weights.

So a model can be kept from being judged on what it has seen, wherever its weights go, and without keeping any photo.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ml.atomic_files import open_atomic_file
from ml.recipe import ModelFilesError

from .perceptual_hash import Hashes


def trained_photos_path(weights: Path) -> Path:
    """The file beside a weights file: `weights.photos.npy` beside `weights.safetensors`."""
    return weights.with_suffix(".photos.npy")


def write_trained_photos(weights: Path, *known: Hashes | None) -> None:
    """Write what `read_trained_photos` reads: all of several uint64[N], each once; nothing where all are None."""
    hashes = [np.asarray(each, np.uint64) for each in known if each is not None]
    if not hashes:
        return
    with open_atomic_file(trained_photos_path(weights)) as file:
        np.save(file, np.unique(np.concatenate(hashes)), allow_pickle=False)


def read_trained_photos(weights: Path) -> Hashes | None:
    """uint64[N], sorted, of the photos that a weights file has learned from; None where nobody wrote them down.

    Raises:
        ModelFilesError: the file is damaged or holds something else.
    """
    path = trained_photos_path(weights)
    if not path.exists():
        return None
    try:
        hashes = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as exc:
        raise ModelFilesError(f"{path} is damaged ({exc}); put the one back that came with the weights.") from exc
    if getattr(hashes, "dtype", None) != np.uint64 or hashes.ndim != 1:
        raise ModelFilesError(f"{path} holds no hashes of photos; put the one back that came with the weights.")
    return hashes
