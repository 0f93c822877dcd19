"""An inverted file over a segment's rows: which list each row is in, and one bit a dimension of it beside its list.

Vectors are turned by one random rotation, gathered around `centroids` (k-means), and coded by the signs of what is left
(RaBitQ: Gao and Long, 2024, as FAISS's fast scan computes it). Codes lie in one file that is mapped: every process on a
host shares them through the page cache. Codes only choose candidates; similarities are computed from the vectors.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ml.inference.cores import usable_cores as count_cores
from ml.per_process import PerProcess
from recommender.index.rows.row_bitmap import RowBitmap
from recommender.index.rows.vector_file import VectorFile

ROTATION, CENTROIDS, SPREADS, LISTS, CODES = FILES = (
    "rotation.npy",
    "centroids.npy",
    "spreads.npy",
    "lists.npy",
    "codes.ivf",
)
BLOCK_ROWS = 32  # rows whose codes FAISS interleaves
ID_BYTES = 8
FILLED = 16_384  # rows coded at once
ITERATIONS = 8
LEAST_SPREAD = 1e-3  # of a list of copies
WIDE = 250_000  # codes, 2 to 3 milliseconds of one core
SEED = 5
NEARLY_ALL, SPARE = 0.8, 1.1  # of the rows; as many times the candidates are asked for that should be enough
EVERYTHING = RowBitmap(np.ones(1, bool))


@dataclass(frozen=True)
class Ivf:
    """An open inverted file of n rows in `lists` lists.

    rotation: float32[dim, dim], orthogonal · centroids: float32[lists, dim], in the turned space · spreads:
    float32[lists], root mean square distance of a list's rows from its centroid · list_of: unsigned[n] · sizes:
    int64[lists]
    """

    rotation: np.ndarray
    centroids: np.ndarray
    spreads: np.ndarray
    list_of: np.ndarray
    sizes: np.ndarray
    faiss: Any
    stored: Any  # owns the map that `faiss` searches

    @property
    def lists(self) -> int:
        return len(self.centroids)

    def turn(self, query: np.ndarray) -> np.ndarray:
        """float32[1, dim] of float16[dim]."""
        return query.astype(np.float32)[None, :] @ self.rotation

    def touch(self) -> None:
        """Read every code once, so that no search waits for the disk, or for the kernel to map a page."""
        nothing = np.zeros((1, self.centroids.shape[1]), np.float32)
        every = np.arange(self.lists)
        self._scan(nothing, every, np.zeros(self.lists, np.float32), 1, EVERYTHING)

    def scan(
        self, turned: np.ndarray, lists: np.ndarray, closeness: np.ndarray, depth: int, selection: RowBitmap
    ) -> np.ndarray:
        """int64[r], r <= depth * cores: the selected rows of some lists whose codes promise the highest similarity.

        turned: float32[1, dim] · lists: int64[p] · closeness: float32[p], inner products with their centroids
        A scan of very many codes, as a filter that leaves nothing near makes necessary, is shared between the cores.
        """
        shares = min(_cores(), int(self.sizes[lists].sum()) // WIDE + 1)
        if shares == 1:
            return self._chosen(turned, lists, closeness, depth, selection)
        parts = [slice(first, None, shares) for first in range(shares)]
        helpers = scan_threads.get()
        others = [
            helpers.submit(self._chosen, turned, lists[part], closeness[part], depth, selection) for part in parts[1:]
        ]
        own = self._chosen(turned, lists[parts[0]], closeness[parts[0]], depth, selection)
        return np.concatenate([own, *(other.result() for other in others)])

    def _chosen(
        self, turned: np.ndarray, lists: np.ndarray, closeness: np.ndarray, depth: int, selection: RowBitmap
    ) -> np.ndarray:
        """int64[r], r <= depth, most promising first. Where nearly all rows are selected, the others are sorted out
        afterwards: asking for each whether it is selected costs a fifth of the scan."""
        share = selection.count / len(selection.mask)
        if NEARLY_ALL <= share < 1:
            wanted = int(depth / share * SPARE)
            rows = self._scan(turned, lists, closeness, wanted, EVERYTHING)
            selected = rows[selection.mask[rows]][:depth]
            if len(selected) == depth or len(rows) < wanted:  # less than that was all there is
                return selected
        return self._scan(turned, lists, closeness, depth, selection)

    def _scan(
        self, turned: np.ndarray, lists: np.ndarray, closeness: np.ndarray, depth: int, selection: RowBitmap
    ) -> np.ndarray:
        import faiss

        faiss.omp_set_num_threads(1)
        chosen, near = np.ascontiguousarray(lists, np.int64), np.ascontiguousarray(closeness, np.float32)
        distances, rows = np.empty((1, depth), np.float32), np.empty((1, depth), np.int64)
        parameters = faiss.SearchParametersIVF(nprobe=len(chosen))
        selector = None if selection.is_all else faiss.IDSelectorBitmap(selection.bits)
        parameters.sel = selector
        self.faiss.search_preassigned_c(
            1,
            faiss.swig_ptr(turned),
            depth,
            faiss.swig_ptr(chosen),
            faiss.swig_ptr(near),
            faiss.swig_ptr(distances),
            faiss.swig_ptr(rows),
            False,
            parameters,
        )
        return rows[0][rows[0] >= 0]


@cache
def _cores() -> int:
    return count_cores()


def _start_scan_threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, _cores() - 1), thread_name_prefix="index-scan")


scan_threads = PerProcess(_start_scan_threads)


def build(
    directory: Path, vectors: VectorFile, lists: int, sample: np.ndarray, threads: int, tick: Callable[[], None]
) -> None:
    """Train on the rows `sample` (int64, ascending), code every row, and write the files.

    `tick` is called between steps, so that a lease can be renewed.
    Raises: OSError.
    """
    import faiss

    faiss.omp_set_num_threads(threads)
    random = np.random.default_rng(SEED)
    rotation = np.linalg.qr(random.standard_normal((vectors.dim, vectors.dim)))[0].astype(np.float32)
    learnt = vectors.read_rows(sample).astype(np.float32) @ rotation
    centroids = _centroids(learnt, lists, tick)
    quantizer, index = _empty_index(centroids)
    _, nearest = quantizer.search(learnt, 1)
    squared = np.square(learnt - centroids[nearest[:, 0]]).sum(axis=1)
    counts = np.bincount(nearest[:, 0], minlength=lists)
    total = np.bincount(nearest[:, 0], weights=squared, minlength=lists)
    spreads = np.sqrt(np.where(counts > 0, total / np.maximum(counts, 1), squared.mean())).clip(LEAST_SPREAD)
    del learnt
    for _, block in vectors.iterate_blocks(FILLED):
        index.add(block.astype(np.float32) @ rotation)
        tick()
    list_of = _write_codes(directory / CODES, index, lists, vectors.rows)
    for name, array in (
        (ROTATION, rotation),
        (CENTROIDS, centroids),
        (SPREADS, spreads.astype(np.float32)),
        (LISTS, list_of),
    ):
        np.save(directory / name, array, allow_pickle=False)
    tick()


def load(directory: Path, rows: int, dim: int) -> Ivf:
    """Map the files. Raises: OSError, ValueError, RuntimeError where one is missing or not what it should be."""
    rotation, centroids, spreads, list_of = (
        np.asarray(np.load(directory / name, mmap_mode="r", allow_pickle=False))
        for name in (ROTATION, CENTROIDS, SPREADS, LISTS)
    )
    lists = len(centroids)
    shapes = (rotation.shape, centroids.shape, spreads.shape, list_of.shape)
    if shapes != ((dim, dim), (lists, dim), (lists,), (rows,)) or (rows and int(list_of.max()) >= lists):
        raise ValueError(f"{directory} holds an inverted file of another segment")
    sizes = np.bincount(list_of, minlength=lists)
    _, index = _empty_index(centroids)
    stored = _map_codes(directory / CODES, sizes, _code_bytes(index))
    index.replace_invlists(stored, False)
    index.ntotal = rows
    opened = Ivf(rotation, np.array(centroids), np.array(spreads), list_of, sizes, index, stored)
    opened.touch()
    return opened


def _centroids(sample: np.ndarray, lists: int, tick: Callable[[], None]) -> np.ndarray:
    """float32[lists, dim] by k-means, an iteration at a time."""
    import faiss

    clustering = faiss.Clustering(sample.shape[1], lists)
    clustering.niter, clustering.seed = 1, SEED
    clustering.min_points_per_centroid, clustering.max_points_per_centroid = 1, len(sample)
    quantizer = faiss.IndexFlatL2(sample.shape[1])
    for _ in range(ITERATIONS):
        quantizer.reset()
        clustering.train(sample, quantizer)
        tick()
    return faiss.vector_to_array(clustering.centroids).reshape(lists, -1)


def _empty_index(centroids: np.ndarray) -> tuple[Any, Any]:
    import faiss

    lists, dim = centroids.shape
    quantizer = faiss.IndexFlatL2(dim)
    quantizer.add(np.ascontiguousarray(centroids, np.float32))
    index = faiss.IndexIVFRaBitQFastScan(quantizer, dim, lists, faiss.METRIC_INNER_PRODUCT)
    index.is_trained = True  # the centroids are all there is to learn
    return quantizer, index


def _code_bytes(index: Any) -> int:
    """Bytes of one row's code and factors within a block of BLOCK_ROWS."""
    return int(index.get_block_stride()) // BLOCK_ROWS


def _write_codes(path: Path, index: Any, lists: int, rows: int) -> np.ndarray:
    """Each list's blocks of codes, then its row numbers, padded to whole blocks; returns the list of each row."""
    import faiss

    stored, code = faiss.downcast_InvertedLists(index.invlists), _code_bytes(index)
    list_of = np.zeros(rows, np.uint16 if lists <= 1 << 16 else np.uint32)
    with path.open("wb") as file:
        for number in range(lists):
            size = stored.list_size(number)
            if not size:
                continue
            capacity = _whole_blocks(size)
            ids = np.full(capacity, -1, np.int64)
            ids[:size] = faiss.rev_swig_ptr(stored.get_ids(number), size)
            list_of[ids[:size]] = number
            file.write(faiss.rev_swig_ptr(stored.get_codes(number), capacity * code).data)
            file.write(ids.data)
    return list_of


def _map_codes(path: Path, sizes: np.ndarray, code: int) -> Any:
    """FAISS's own read-only map of lists on disk: it takes whole blocks as well as single codes."""
    import faiss

    stored = faiss.OnDiskInvertedLists(len(sizes), code, "")
    places, offset = stored.lists, 0
    places.clear()
    for size in sizes.tolist():
        place = faiss.OnDiskOneList()
        if size:
            place.size, place.capacity, place.offset = size, _whole_blocks(size), offset
            offset += place.capacity * (code + ID_BYTES)
        places.push_back(place)
    if path.stat().st_size != offset:
        raise ValueError(f"{path} has {path.stat().st_size} bytes, not {offset}")
    stored.filename, stored.totsize, stored.read_only = str(path), offset, True
    try:
        stored.do_mmap()
    except RuntimeError as exc:  # the file is there and has the right size
        raise OSError(errno.ENOMEM, f"FAISS cannot map {path}: {exc}") from exc
    return stored


def _whole_blocks(size: int) -> int:
    return -(-size // BLOCK_ROWS) * BLOCK_ROWS
