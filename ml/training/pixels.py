"""Decoded pictures in one memory-mapped file, so that each is decoded once, not once an epoch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from ml.errors import MlError
from ml.images import PhotoRefused, decode
from ml.whole_file import whole_file

Pixels = npt.NDArray[np.uint8]


class UnreadablePicturesError(MlError):
    """Pictures of a training set cannot be decoded; the message lists the first of them."""


class PixelCache:
    """N pictures as uint8[h, w, 3] of their own sizes, shorter side at most `side`."""

    def __init__(self, pixels: Pixels, offsets: npt.NDArray[np.int64], sizes: npt.NDArray[np.int32]) -> None:
        self._pixels, self._offsets, self.sizes = pixels, offsets, sizes

    def __len__(self) -> int:
        return len(self.sizes)

    def picture(self, position: int) -> Image.Image:
        """One RGB picture."""
        (height, width), start = self.sizes[position], self._offsets[position]
        flat = self._pixels[start : start + 3 * int(height) * int(width)]
        return Image.fromarray(flat.reshape(height, width, 3))

    def subset(self, positions: npt.NDArray[np.int64]) -> PixelCache:
        """The pictures at int64[M] `positions`, in this order."""
        return PixelCache(self._pixels, self._offsets[positions], self.sizes[positions])


def cached(paths: Sequence[Path], side: int, folder: Path, *, threads: int = 2) -> PixelCache:
    """Decode `paths` once into a file below `folder`; later calls with the same files map it again.

    Raises:
        UnreadablePicturesError: one or more pictures cannot be decoded.
    """
    name = folder / f"pixels-{_fingerprint(paths, side)}"
    index, data = name.with_suffix(".json"), name.with_suffix(".u8")
    if not index.exists():
        folder.mkdir(parents=True, exist_ok=True)
        sizes = _decode_all(paths, side, data, threads)
        with whole_file(index, "w") as file:  # last: its presence means the pixels are complete
            json.dump(sizes, file)
    shapes = np.array(json.loads(index.read_text()), np.int32).reshape(-1, 2)
    lengths = 3 * shapes[:, 0].astype(np.int64) * shapes[:, 1]
    return PixelCache(np.memmap(data, np.uint8, "r"), np.cumsum(lengths) - lengths, shapes)


def _fingerprint(paths: Sequence[Path], side: int) -> str:
    digest = hashlib.sha256(str(side).encode())
    for path in paths:
        stat = path.stat()
        digest.update(f"{path.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _decode_all(paths: Sequence[Path], side: int, data: Path, threads: int) -> list[tuple[int, int]]:
    sizes: list[tuple[int, int]] = []
    refused: list[str] = []
    part = data.with_suffix(".part")
    with ThreadPoolExecutor(threads) as pool, part.open("wb") as file:
        for start in tqdm(range(0, len(paths), 512), desc="decoding", unit_scale=512, disable=None):
            for pixels in pool.map(lambda path: _decoded(path, side), paths[start : start + 512]):
                if isinstance(pixels, str):
                    refused.append(pixels)
                    continue
                sizes.append((pixels.shape[0], pixels.shape[1]))
                file.write(pixels.tobytes())
        file.flush()
        os.fsync(file.fileno())
    if refused:
        part.unlink()
        more = f" and {len(refused) - 5} more" if len(refused) > 5 else ""
        raise UnreadablePicturesError("These pictures cannot be decoded: " + "; ".join(refused[:5]) + more + ".")
    part.replace(data)
    return sizes


def _decoded(path: Path, side: int) -> Pixels | str:
    """uint8[h, w, 3], or the sentence why not."""
    try:
        picture = decode(path.read_bytes())
    except (OSError, PhotoRefused) as exc:
        return f"{path}: {exc}"
    shorter = min(picture.size)
    if shorter > side:
        scale = side / shorter
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(picture)
