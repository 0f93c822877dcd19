"""An inverted file (IVF) with RaBitQ codes: it chooses the rows of a segment that are worth an exact comparison.

Building applies one random rotation to every vector, clusters the rows into inverted lists by k-means, and keeps one
bit per dimension of each row: the sign of its residual, which is what remains after subtracting the centroid of its
list (RaBitQ: Gao and Long, 2024, as computed by FAISS's fast scan). The codes are one memory-mapped file, so all
processes on a host share them through the page cache. Similarities in answers never come from codes; they are computed
from the stored vectors.
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

from ml.inference.cores import count_usable_cores
from ml.per_process import PerProcess
from recommender.index.rows.arrays import Distances, HalfVectors, ListIds, ListNumbers, RowIds, Similarities, Vectors
from recommender.index.rows.row_bitmap import RowBitmap
from recommender.index.rows.vector_file import VectorFile

ROTATION, CENTROIDS, RESIDUAL_RMS, LISTS, CODES = FILES = (
    "rotation.npy",
    "centroids.npy",
    "spreads.npy",
    "lists.npy",
    "codes.ivf",
)
BLOCK_ROWS = 32  # FAISS interleaves the codes of this many rows, so a list takes whole blocks in the file
ID_BYTES = 8
CODED_AT_ONCE = 16_384  # rows in float32 at a time, so that the memory of a build does not grow with the segment
KMEANS_ITERATIONS = 8
# Differences of similarities are divided by a list's residual RMS, which would be 0 where the list holds copies of one
# vector.
LEAST_RESIDUAL_RMS = 1e-3
# A scan of more codes than this is shared between cores. One core takes 2 to 3 ms for this many.
CODES_PER_SHARE = 250_000
SEED = 5
# Testing each row costs a fifth of a scan. Where a filter leaves at least this share of the rows, the scan ignores it,
# asks for 1.1 times as many candidates as the share suggests, and drops those that the filter excludes afterwards.
NEARLY_ALL = 0.8
EXTRA_CANDIDATES = 1.1
ALL_ROWS = RowBitmap(np.ones(1, bool))  # its length does not matter: a bitmap of all rows is never passed to FAISS


@dataclass(frozen=True)
class Ivf:
    """An open inverted file of n rows.

    rotation: float32[dim, dim], orthogonal · centroids: float32[lists, dim], after the rotation · residual_rms:
    float32[lists], root mean square distance of a list's rows from its centroid · list_of: unsigned[n], the list of
    each row · sizes: int64[lists], rows per list · mapped_codes: keeps alive the map that `faiss` searches
    """

    rotation: Vectors
    centroids: Vectors
    residual_rms: Distances
    list_of: ListNumbers
    sizes: ListIds
    faiss: Any
    mapped_codes: Any

    @property
    def list_count(self) -> int:
        return len(self.centroids)

    def rotate_query(self, query: HalfVectors) -> Vectors:
        """Rotate a query into the space of the centroids: float16[dim] to float32[1, dim]."""
        return query.astype(np.float32)[None, :] @ self.rotation

    def prewarm(self) -> None:
        """Read every code once, so that the first searches wait neither for the disk nor for page faults."""
        nothing = np.zeros((1, self.centroids.shape[1]), np.float32)
        every = np.arange(self.list_count)
        self.scan_codes(nothing, every, np.zeros(self.list_count, np.float32), 1, ALL_ROWS)

    def scan_lists(
        self, rotated: Vectors, lists: ListIds, closeness: Similarities, depth: int, selection: RowBitmap
    ) -> RowIds:
        """The selected rows of these lists whose codes promise the highest similarity: int64[r], r <= depth * cores.

        rotated: float32[1, dim] · lists: int64[p] · closeness: float32[p], inner products with their centroids
        A filter that leaves nothing near the query needs a scan of very many codes; it is shared between the cores.
        """
        shares = min(_count_cores(), int(self.sizes[lists].sum()) // CODES_PER_SHARE + 1)
        if shares == 1:
            return self._scan_selected_rows(rotated, lists, closeness, depth, selection)
        parts = [slice(first, None, shares) for first in range(shares)]
        helpers = scan_threads.get()
        others = [
            helpers.submit(self._scan_selected_rows, rotated, lists[part], closeness[part], depth, selection)
            for part in parts[1:]
        ]
        own = self._scan_selected_rows(rotated, lists[parts[0]], closeness[parts[0]], depth, selection)
        return np.concatenate([own, *(other.result() for other in others)])

    def _scan_selected_rows(
        self, rotated: Vectors, lists: ListIds, closeness: Similarities, depth: int, selection: RowBitmap
    ) -> RowIds:
        """As `scan_codes`, but a filter that leaves nearly all rows is applied after the scan.

        Testing each row against the bitmap costs a fifth of a scan, so it pays only where it excludes many rows.
        """
        share = selection.count / len(selection.mask)
        if NEARLY_ALL <= share < 1:
            wanted = int(depth / share * EXTRA_CANDIDATES)
            rows = self.scan_codes(rotated, lists, closeness, wanted, ALL_ROWS)
            selected = rows[selection.mask[rows]][:depth]
            # Fewer rows than asked for means that the lists hold no more, so a second scan could not find any.
            if len(selected) == depth or len(rows) < wanted:
                return selected
        return self.scan_codes(rotated, lists, closeness, depth, selection)

    def scan_codes(
        self, rotated: Vectors, lists: ListIds, closeness: Similarities, depth: int, selection: RowBitmap
    ) -> RowIds:
        """int64[r], r <= depth: the most promising rows, most promising first."""
        import faiss

        # Waking OpenMP threads takes longer than scanning the lists of one query. FAISS keeps the
        # setting for each thread.
        faiss.omp_set_num_threads(1)
        chosen, near = np.ascontiguousarray(lists, np.int64), np.ascontiguousarray(closeness, np.float32)
        distances, rows = np.empty((1, depth), np.float32), np.empty((1, depth), np.int64)
        parameters = faiss.SearchParametersIVF(nprobe=len(chosen))
        # The name keeps the selector alive: FAISS's parameters hold only a pointer to it.
        selector = None if selection.is_all else faiss.IDSelectorBitmap(selection.bits)
        parameters.sel = selector
        self.faiss.search_preassigned_c(
            1,
            faiss.swig_ptr(rotated),
            depth,
            faiss.swig_ptr(chosen),
            faiss.swig_ptr(near),
            faiss.swig_ptr(distances),
            faiss.swig_ptr(rows),
            False,
            parameters,
        )
        return rows[0][rows[0] >= 0]  # FAISS fills up with -1 where it finds fewer than `depth`


@cache
def _count_cores() -> int:
    return count_usable_cores()


def _make_scan_threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, _count_cores() - 1), thread_name_prefix="index-scan")


scan_threads = PerProcess(_make_scan_threads)


def build_ivf(
    directory: Path, vectors: VectorFile, lists: int, sample: RowIds, threads: int, tick: Callable[[], None]
) -> None:
    """Train on the rows `sample` (int64, ascending), encode every row, and write the files.

    `tick` is called between steps, so that the caller can renew its lease.
    Raises: OSError.
    """
    import faiss

    faiss.omp_set_num_threads(threads)
    random = np.random.default_rng(SEED)
    rotation = np.linalg.qr(random.standard_normal((vectors.dim, vectors.dim)))[0].astype(np.float32)
    learnt = vectors.read_rows(sample).astype(np.float32) @ rotation
    centroids = _train_centroids(learnt, lists, tick)
    quantizer, index = _make_quantizer_and_index(centroids)
    _, nearest = quantizer.search(learnt, 1)
    squared = np.square(learnt - centroids[nearest[:, 0]]).sum(axis=1)
    counts = np.bincount(nearest[:, 0], minlength=lists)
    total = np.bincount(nearest[:, 0], weights=squared, minlength=lists)
    # A list without a row in the sample gets the average, since nothing is known of it.
    mean_square = np.where(counts > 0, total / np.maximum(counts, 1), squared.mean())
    residual_rms = np.sqrt(mean_square).clip(LEAST_RESIDUAL_RMS)
    del learnt  # the sample is no longer needed, and so large that the steps below want its memory
    for _, block in vectors.iterate_blocks(CODED_AT_ONCE):
        index.add(block.astype(np.float32) @ rotation)
        tick()
    list_of = _write_codes(directory / CODES, index, lists, vectors.rows)
    for name, array in (
        (ROTATION, rotation),
        (CENTROIDS, centroids),
        (RESIDUAL_RMS, residual_rms.astype(np.float32)),
        (LISTS, list_of),
    ):
        np.save(directory / name, array, allow_pickle=False)
    tick()


def open_ivf(directory: Path, rows: int, dim: int) -> Ivf:
    """Map the files. Raises: OSError, ValueError or RuntimeError where one is missing or does not fit the segment."""
    rotation, centroids, residual_rms, list_of = (
        np.asarray(np.load(directory / name, mmap_mode="r", allow_pickle=False))
        for name in (ROTATION, CENTROIDS, RESIDUAL_RMS, LISTS)
    )
    lists = len(centroids)
    shapes = (rotation.shape, centroids.shape, residual_rms.shape, list_of.shape)
    if shapes != ((dim, dim), (lists, dim), (lists,), (rows,)) or (rows and int(list_of.max()) >= lists):
        raise ValueError(f"{directory} holds an inverted file of another segment")
    sizes = np.bincount(list_of, minlength=lists)
    _, index = _make_quantizer_and_index(centroids)
    stored = _map_codes(directory / CODES, sizes, _code_bytes(index))
    index.replace_invlists(stored, False)
    index.ntotal = rows
    opened = Ivf(rotation, np.array(centroids), np.array(residual_rms), list_of, sizes, index, stored)
    opened.prewarm()
    return opened


def _train_centroids(sample: Vectors, lists: int, tick: Callable[[], None]) -> Vectors:
    """float32[lists, dim] by k-means. Each iteration is a call of its own, so that `tick` is called in between."""
    import faiss

    clustering = faiss.Clustering(sample.shape[1], lists)
    clustering.niter, clustering.seed = 1, SEED
    clustering.min_points_per_centroid, clustering.max_points_per_centroid = 1, len(sample)
    quantizer = faiss.IndexFlatL2(sample.shape[1])
    for _ in range(KMEANS_ITERATIONS):
        quantizer.reset()
        clustering.train(sample, quantizer)
        tick()
    return faiss.vector_to_array(clustering.centroids).reshape(lists, -1)


def _make_quantizer_and_index(centroids: Vectors) -> tuple[Any, Any]:
    import faiss

    lists, dim = centroids.shape
    quantizer = faiss.IndexFlatL2(dim)
    quantizer.add(np.ascontiguousarray(centroids, np.float32))
    index = faiss.IndexIVFRaBitQFastScan(quantizer, dim, lists, faiss.METRIC_INNER_PRODUCT)
    index.is_trained = True  # FAISS would refuse to add rows, although RaBitQ learns nothing beyond the centroids
    return quantizer, index


def _code_bytes(index: Any) -> int:
    """Bytes that one row takes of a block of BLOCK_ROWS: its code and the factors of its similarity estimate."""
    return int(index.get_block_stride()) // BLOCK_ROWS


def _write_codes(path: Path, index: Any, lists: int, rows: int) -> ListNumbers:
    """Write each list's codes, then its row numbers, both padded to whole blocks; return the list of each row."""
    import faiss

    stored, code = faiss.downcast_InvertedLists(index.invlists), _code_bytes(index)
    # Every process maps this array, so a row takes two bytes of it where the numbers of all lists fit into them.
    list_of: ListNumbers = np.zeros(rows, np.uint16 if lists <= 1 << 16 else np.uint32)
    with path.open("wb") as file:
        for number in range(lists):
            size = stored.list_size(number)
            if not size:
                continue
            capacity = _round_up_to_block(size)
            ids = np.full(capacity, -1, np.int64)
            ids[:size] = faiss.rev_swig_ptr(stored.get_ids(number), size)
            list_of[ids[:size]] = number
            file.write(faiss.rev_swig_ptr(stored.get_codes(number), capacity * code).data)
            file.write(ids.data)
    return list_of


def _map_codes(path: Path, sizes: ListIds, code: int) -> Any:
    """Map the codes read-only through FAISS's OnDiskInvertedLists, whose fast scan reads whole blocks."""
    import faiss

    stored = faiss.OnDiskInvertedLists(len(sizes), code, "")
    places, offset = stored.lists, 0
    places.clear()
    for size in sizes.tolist():
        place = faiss.OnDiskOneList()
        if size:
            place.size, place.capacity, place.offset = size, _round_up_to_block(size), offset
            offset += place.capacity * (code + ID_BYTES)
        places.push_back(place)
    if path.stat().st_size != offset:
        raise ValueError(f"{path} has {path.stat().st_size} bytes, not {offset}")
    stored.filename, stored.totsize, stored.read_only = str(path), offset, True
    try:
        stored.do_mmap()
    except RuntimeError as exc:  # the file has the right size, so the process has run out of maps or memory
        raise OSError(errno.ENOMEM, f"FAISS cannot map {path}: {exc}") from exc
    return stored


def _round_up_to_block(size: int) -> int:
    return -(-size // BLOCK_ROWS) * BLOCK_ROWS
