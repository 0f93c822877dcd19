"""Which pictures show the same: hashes that a picture keeps when it is compressed again, scaled or cut a little.

The hash is ImageHash's pHash (Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010): the
64 lowest frequencies of the grey picture at 32 x 32 pixels, each a bit that says whether it is above their median. Two
hashes are compared by how many of their bits differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from .extraction import UnreadablePicture, decode_and_prepare_files

Hashes = npt.NDArray[np.uint64]
Pairs = npt.NDArray[np.int64]

BITS = 64
# Of 1,000 copies each of people's photos of clothes and of garments on white, this distance finds 99 and 88 % of those
# recompressed, 100 and 99 % halved, 19 and 24 % cut by 2 % on each side; of 5,398 of the first none is as near to one
# of 11,800 of the second, which they do not show (0.2 % at 4). A distance of 8 finds 95 % of those cut by 2 %, 18 and
# 43 % of those cut by 5 %, and takes 4.6 % for what they are not: enough to keep a training set clean, too much to
# refuse by, the more so beside 150,000. On white, one cut in two colours is near too: 7 % of these have one at 2.
NEAR = 2
BLOCK = 4096  # hashes looked up at a time: sets of plain pictures have many pairs, which take 12 bytes each


@dataclass(frozen=True)
class HashedFiles:
    """The hashes of the pictures that could be read, and why the others could not.

    Attributes:
        hashes: uint64[N].
        kept: int64[N], their positions among the paths, ascending.
    """

    hashes: Hashes
    kept: npt.NDArray[np.int64]
    refused: list[UnreadablePicture]


def hash_picture(image: Image.Image) -> np.uint64:
    """The hash of a decoded picture of any mode and size; equal content at another size differs in few bits."""
    from imagehash import phash

    return np.packbits(phash(image).hash).view(">u8").astype(np.uint64)[0]


def hash_files(paths: Sequence[Path], *, title: str = "hashes") -> HashedFiles:
    """Hash every picture as the site decodes it, in threads; what cannot be read is left out and listed."""
    outcomes = list(
        tqdm(
            decode_and_prepare_files(paths, hash_picture), desc=title, total=len(paths), unit=" pictures", disable=None
        )
    )
    return HashedFiles(
        np.array([outcome for outcome in outcomes if not isinstance(outcome, str)], np.uint64),
        np.array([i for i, outcome in enumerate(outcomes) if not isinstance(outcome, str)], np.int64),
        [UnreadablePicture(paths[i], outcome) for i, outcome in enumerate(outcomes) if isinstance(outcome, str)],
    )


def find_near_pairs(hashes: Hashes, others: Hashes | None = None, distance: int = NEAR) -> Pairs:
    """Every pair of hashes that differ in at most `distance` of their 64 bits.

    Args:
        hashes: uint64[N].
        others: uint64[M]; None looks among `hashes` themselves, each pair once and none with itself.

    Returns:
        int64[P, 2], sorted: a position in `hashes`, then one in `others` (without them, a later one in `hashes`).
    """
    searched = hashes if others is None else others
    if not len(hashes) or not len(searched):
        return np.empty((0, 2), np.int64)
    import faiss

    index = faiss.IndexBinaryFlat(BITS)
    index.add(_split_into_bytes(searched))
    found = [np.empty((0, 2), np.int64)]
    for start in range(0, len(hashes), BLOCK):
        # faiss finds what is nearer than its radius, so the distance itself lies inside the next one.
        limits, _, columns = index.range_search(_split_into_bytes(hashes[start : start + BLOCK]), distance + 1)
        rows = start + np.repeat(np.arange(len(limits) - 1), np.diff(limits).astype(np.int64))
        pairs = np.stack([rows, columns], axis=1)
        found.append(pairs[pairs[:, 0] < pairs[:, 1]] if others is None else pairs)
    every = np.concatenate(found)
    return every[np.lexsort((every[:, 1], every[:, 0]))]


def _split_into_bytes(hashes: Hashes) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(hashes).view(np.uint8).reshape(-1, BITS // 8)
