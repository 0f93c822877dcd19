"""Decoded pictures in one memory-mapped file, so that each is decoded once, not once an epoch."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from ml.atomic_files import open_atomic_file, open_atomic_text, remove_files_and_empty_folder
from ml.errors import MlError
from ml.images import PhotoRefused, decode_file
from ml.inference.arrays import Pixels
from ml.recipe import file_sha256

# Decoded pictures, and what teachers said of them; what has another name is not ours to delete.
OWN = re.compile(r"pixels-[0-9a-f]{16}\.(u8|part|json)|taught-[0-9a-f]{16}-\d+\.(f16|known)")


class UnreadablePicturesError(MlError):
    """Pictures of a training set cannot be decoded; the message lists the first of them."""


class PixelCache:
    """N pictures, uint8[h, w, 3] each, of different sizes.

    `pixels` is uint8[bytes], one picture after the other, `offsets` int64[N] says where each begins, and `sizes`
    int32[N, 2] has heights and widths. `sha256` is of the pixels of all pictures that were decoded together.
    """

    def __init__(
        self, pixels: Pixels, offsets: npt.NDArray[np.int64], sizes: npt.NDArray[np.int32], sha256: str
    ) -> None:
        self._pixels, self._offsets, self.sizes, self._sha256 = pixels, offsets, sizes, sha256

    def __len__(self) -> int:
        return len(self.sizes)

    def array(self, position: int) -> Pixels:
        """Return one RGB picture as uint8[h, w, 3], which may not be written to."""
        (height, width), start = self.sizes[position], self._offsets[position]
        return self._pixels[start : start + 3 * int(height) * int(width)].reshape(height, width, 3)

    def picture(self, position: int) -> Image.Image:
        """Return one RGB picture."""
        return Image.fromarray(self.array(position))

    def subset(self, positions: npt.NDArray[np.int64]) -> PixelCache:
        """Return the pictures at int64[M] `positions`, in this order."""
        return PixelCache(self._pixels, self._offsets[positions], self.sizes[positions], self._sha256)

    @property
    def fingerprint(self) -> str:
        """A checksum of what the pictures show and of their order."""
        return hashlib.sha256(self._sha256.encode() + self._offsets.tobytes() + self.sizes.tobytes()).hexdigest()


def cache_pixels(paths: Sequence[Path], side: int, folder: Path, *, threads: int = 2) -> PixelCache:
    """Decode `paths` once into a file in `folder`; later calls with the same files map it again.

    They map it too where some of the files are gone, so that a run can end after a picture was deleted. Decoded
    pictures have a shorter side of at most `side` pixels.

    Raises:
        UnreadablePicturesError: one or more pictures cannot be decoded.
    """
    name = folder / f"pixels-{_fingerprint_paths(paths, side)}"
    index, data = name.with_suffix(".json"), name.with_suffix(".u8")
    known = json.loads(index.read_text()) if index.exists() else {}
    if not known or not _are_files_unchanged(paths, known["files"]):
        folder.mkdir(parents=True, exist_ok=True)
        # An index says that the pixels are complete, so it is deleted before they change, and written last.
        index.unlink(missing_ok=True)
        marks = [_stat_file(path) for path in paths]
        sizes, sha256 = _decode_into_file(paths, side, data, threads)
        known = {"files": marks, "sizes": sizes, "sha256": sha256}
        _write_index(index, known)
    elif "sha256" not in known:  # decoded by 0.1.0, for a run that may go on although a picture is gone
        known["sha256"] = file_sha256(data)
        _write_index(index, known)
    shapes = np.array(known["sizes"], np.int32).reshape(-1, 2)
    lengths = 3 * shapes[:, 0].astype(np.int64) * shapes[:, 1]
    return PixelCache(np.memmap(data, np.uint8, "r"), np.cumsum(lengths) - lengths, shapes, known["sha256"])


def _write_index(path: Path, known: dict[str, Any]) -> None:
    with open_atomic_text(path) as file:
        json.dump(known, file)


def delete_cached_pixels(folder: Path) -> None:
    """Delete what was ever kept of pictures in `folder`, and the folder if nothing else is in it."""
    remove_files_and_empty_folder(folder, OWN)


def _fingerprint_paths(paths: Sequence[Path], side: int) -> str:
    digest = hashlib.sha256(str(side).encode())
    for path in paths:
        digest.update(f"{path.parent.resolve() / path.name}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def _are_files_unchanged(paths: Sequence[Path], marks: Sequence[list[int] | None]) -> bool:
    return all(_stat_file(path) in (mark, None) for path, mark in zip(paths, marks, strict=True))


def _stat_file(path: Path) -> list[int] | None:
    """Return the size and time of a file, which change with its content; None where there is no file."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns]


def _decode_into_file(paths: Sequence[Path], side: int, data: Path, threads: int) -> tuple[list[tuple[int, int]], str]:
    """Return the heights and widths of the pictures, and the sha256 of all their pixels."""
    sizes: list[tuple[int, int]] = []
    digest = hashlib.sha256()
    refused: list[str] = []
    with ThreadPoolExecutor(threads) as pool, open_atomic_file(data, survives_power_cut=True) as file:
        for start in tqdm(range(0, len(paths), 512), desc="decoding", unit_scale=512, disable=None):
            for pixels in pool.map(lambda path: _decode_picture(path, side), paths[start : start + 512]):
                if isinstance(pixels, str):
                    refused.append(pixels)
                    continue
                sizes.append((pixels.shape[0], pixels.shape[1]))
                file.write(pixels.tobytes())
                digest.update(pixels.tobytes())
        if refused:
            more = f" and {len(refused) - 5} more" if len(refused) > 5 else ""
            raise UnreadablePicturesError(
                f"These pictures cannot be decoded: {'; '.join(refused[:5])}{more}. "
                "Leave them out of the table; a run that has begun needs another folder then."
            )
    return sizes, digest.hexdigest()


def _decode_picture(path: Path, side: int) -> Pixels | str:
    """Return uint8[h, w, 3], or the sentence that says why the picture cannot be decoded."""
    try:
        picture = decode_file(path)
    except OSError as exc:
        return f"{path}: {exc.strerror}"
    except PhotoRefused as refusal:
        return f"{path}: {refusal.reason.rstrip('.')}"
    shorter = min(picture.size)
    if shorter > side:
        scale = side / shorter
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(picture)
