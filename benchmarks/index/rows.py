"""Makes any number of rows that lie as real embeddings do, in pieces, because a big index does not fit into memory.

A row is a mixture of a real embedding and seven of its sixteen nearest, plus a little noise in every direction: the
mixture keeps clusters and their gaps, the noise keeps rows as far apart as real photos are. Block n of a stream is
always the same, whoever makes it and whatever was made before.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.folders.vector_folder import Halves
from ml.inference.arrays import Vectors
from ml.inference.cores import count_usable_cores

from .embeddings import KEPT, load_embeddings
from .two_nn import estimate_intrinsic_dimension

HELD = 4_000  # real embeddings that no row is made of: the unseen queries
NEIGHBOURS = 16
MIXED = 8  # real embeddings in each row
# The length of the noise beside a mixture of length 1, which gives rows the intrinsic dimension of real photos.
NOISE = 0.7
MOST_NOISE = 2.0
TOLERANCE = 0.2  # how far the rows' dimension may be from the real one, as a share of it
BLOCK_ROWS = 10_000
PIECE_ROWS = 250_000
ROWS, OTHERS, SAMPLE = range(3)  # streams: the rows, more unseen queries, and rows that only settings are found on


@dataclass(frozen=True)
class Source:
    """What rows are made from.

    anchors: float32[n, dim], real embeddings · neighbours: int32[n, 16], the anchors nearest to each · held:
    float32[h, dim], other real embeddings, to ask for
    """

    name: str
    fingerprint: str
    anchors: Vectors
    neighbours: NDArray[np.signedinteger]
    held: Vectors
    noise: float = NOISE
    dimensions: tuple[float, float] = (np.nan, np.nan)  # intrinsic ones, of the anchors and of as many rows

    @property
    def dim(self) -> int:
        return self.anchors.shape[1]

    def make_block(self, stream: int, number: int, count: int = BLOCK_ROWS) -> Halves:
        """The rows float16[count, dim], of length 1, of one block of a stream."""
        from scipy.sparse import csr_array

        random = np.random.default_rng([stream, number])
        anchor = random.integers(0, len(self.anchors), count)
        chosen = np.argpartition(random.random((count, NEIGHBOURS)), MIXED - 1, axis=1)[:, : MIXED - 1]
        mixed = np.concatenate([anchor[:, None], self.neighbours[anchor[:, None], chosen]], axis=1)
        weights = -np.sort(-random.dirichlet(np.ones(MIXED), count).astype(np.float32), axis=1)
        starts = np.arange(0, count * MIXED + 1, MIXED)
        vectors = csr_array((weights.ravel(), mixed.ravel(), starts), (count, len(self.anchors))) @ self.anchors
        _normalise_rows(vectors)
        noise = random.standard_normal(vectors.shape, np.float32)
        noise *= self.noise / np.sqrt(self.dim)
        vectors += noise
        _normalise_rows(vectors)
        return vectors.astype(np.float16)

    def make_blocks(self, rows: int, stream: int = ROWS) -> Iterator[Halves]:
        """Yield blocks of `rows` rows in all, in order. A thread for each core makes the next ones meanwhile."""
        ahead: deque[Future[Halves]] = deque()
        with ThreadPoolExecutor(count_usable_cores()) as threads:
            for number, start in enumerate(range(0, rows, BLOCK_ROWS)):
                ahead.append(threads.submit(self.make_block, stream, number, min(BLOCK_ROWS, rows - start)))
                if len(ahead) > count_usable_cores():
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()


def load_source(dim: int) -> Source:
    """The source of rows of `dim` dimensions. What takes minutes to find is kept on disk."""
    embeddings = load_embeddings()
    vectors = _project_vectors(embeddings.vectors.astype(np.float32), dim)
    vectors = vectors[np.random.default_rng(0).permutation(len(vectors))]
    held = min(HELD, len(vectors) // 4)
    folder = KEPT / "rows" / f"{embeddings.fingerprint}-{dim}"
    folder.mkdir(parents=True, exist_ok=True)
    anchors = vectors[held:]
    made = Source(embeddings.source, folder.name, anchors, _find_neighbours(anchors, folder), vectors[:held])
    return _tune_noise(made, folder / "noise.json")


def _project_vectors(vectors: Vectors, dim: int) -> Vectors:
    """float32[n, dim] of length 1, through a random orthonormal map where the vectors have another dimension."""
    own = vectors.shape[1]
    if dim != own:
        random = np.random.default_rng(0).standard_normal((max(own, dim), min(own, dim)))
        turn = np.linalg.qr(random)[0].astype(np.float32)
        vectors = vectors @ (turn if dim < own else turn.T)
    _normalise_rows(vectors)
    return vectors


def _find_neighbours(anchors: Vectors, folder: Path) -> NDArray[np.int32]:
    """int32[n, 16]: the anchors nearest to each, itself left out."""
    path = folder / "neighbours.npy"
    if not path.exists():
        import faiss

        print(f"nearest neighbours of {len(anchors):,} real embeddings …", flush=True)
        faiss.omp_set_num_threads(count_usable_cores())
        nearest = faiss.knn(anchors, anchors, NEIGHBOURS + 1, metric=faiss.METRIC_INNER_PRODUCT)[1]
        np.save(path, nearest[:, 1:].astype(np.int32))
    return np.load(path)


def _tune_noise(made: Source, path: Path) -> Source:
    """Keep the usual noise if rows then have about the intrinsic dimension of real embeddings, else find what does."""
    if not path.exists():
        print("intrinsic dimension of real embeddings and of rows …", flush=True)
        real = estimate_intrinsic_dimension(made.anchors)
        noise, low, high = made.noise, 0.0, MOST_NOISE
        while True:
            rows = estimate_intrinsic_dimension(
                np.concatenate(list(replace(made, noise=noise).make_blocks(len(made.anchors), SAMPLE)))
            )
            if abs(rows / real - 1) <= TOLERANCE or high - low < MOST_NOISE / 64:
                break
            low, high = (noise, high) if rows < real else (low, noise)
            noise = (low + high) / 2
        path.write_text(json.dumps({"noise": noise, "real": real, "rows": rows}))
    kept = json.loads(path.read_text())
    return replace(made, noise=kept["noise"], dimensions=(kept["real"], kept["rows"]))


def _normalise_rows(vectors: Vectors) -> None:
    """Scale each row to length 1, in place."""
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)


@dataclass(frozen=True)
class Pieces:
    """Rows on disk, in files of `PIECE_ROWS`, each of which can be deleted once it was read, to save space."""

    folder: Path
    rows: int
    dim: int

    def write_blocks(self, blocks: Iterator[Halves]) -> Iterator[Halves]:
        """Store each block and hand it on. No block may lie across two files."""
        start = 0
        for block in blocks:
            with self._locate_file(start).open("ab" if start % PIECE_ROWS else "wb") as file:
                block.tofile(file)
            start += len(block)
            yield block

    def read_blocks(self, *, delete: bool = False) -> Iterator[Halves]:
        """Yield blocks float16[b, dim] in order. With `delete`, a file is deleted once all of it was handed out."""
        for start in range(0, self.rows, PIECE_ROWS):
            path = self._locate_file(start)
            with path.open("rb") as file:
                while len(block := np.fromfile(file, np.float16, BLOCK_ROWS * self.dim)):
                    yield block.reshape(-1, self.dim)
            if delete:
                path.unlink()

    def _locate_file(self, row: int) -> Path:
        return self.folder / f"{row // PIECE_ROWS:05d}.f16"
