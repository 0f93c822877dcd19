"""Measures pgvector's HNSW over `halfvec` through one connection. Its data stays in `var/`, as loading takes long."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types import TypeInfo

from ml.folders.vector_folder import Halves
from tests.servers.postgres import Postgres

from .dataset import K, Questions, copy_blocks
from .embeddings import KEPT
from .exact import recall_of_rows
from .latency import find_least_reaching, summarise_latencies, time_in_turns, use_one_thread

MOST_EF = 1_000  # pgvector takes no larger hnsw.ef_search
MEMORY = {"shared_buffers": "4GB", "maintenance_work_mem": "4GB"}
SESSION = ("jit = off", "enable_seqscan = off", "max_parallel_maintenance_workers = 1")
COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_END = b"\xff\xff"
ASK = "SELECT id FROM photo ORDER BY vector <#> %b LIMIT %s"


class KeptPostgres(Postgres):
    """A server whose data lies in a folder that outlives it."""

    def __init__(self, data: Path) -> None:
        super().__init__()
        self.data = data

    def start(self) -> None:
        if not self.data.exists():
            self.data.parent.mkdir(parents=True, exist_ok=True)
            super().start()
            return
        self.socket.mkdir(mode=0o700)
        if self._as_user:
            os.chown(self.socket, self._as_user["user"], self._as_user["group"])
            self.home.chmod(0o755)
        self.restart()


class SentVector(bytes):
    """A vector as `halfvec` is sent: two bytes of length, two unused, then its numbers."""

    @classmethod
    def from_halves(cls, vector: Halves) -> SentVector:
        return cls(np.array([len(vector), 0], ">i2").tobytes() + vector.astype(">f2").tobytes())


class SentVectorDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: SentVector) -> bytes:
        return bytes(obj)


def measure_pgvector(
    vectors: Halves, fingerprint: str, questions: Questions, wanted: float, ours: Callable[[int], Any]
) -> dict[str, Any]:
    """Its latency at the least `hnsw.ef_search` that reaches the recall; `ours` asks the index, in turns with it."""
    folder = KEPT / "pgvector" / fingerprint
    loaded = folder / "loaded.json"
    if not loaded.exists():
        shutil.rmtree(folder, ignore_errors=True)
    with _open_connection(folder / "data") as connection:
        if not loaded.exists():
            loaded.write_text(json.dumps(_load_rows(connection, vectors)))
        return {**json.loads(loaded.read_text()), **_measure_searches(connection, questions, wanted, ours)}


@contextmanager
def _open_connection(data: Path) -> Iterator[psycopg.Connection]:
    server = KeptPostgres(data)
    try:
        server.start()
        with psycopg.connect(server.url, autocommit=True) as connection:
            for name, value in MEMORY.items():
                connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        server.halt()
        server.restart()
        with psycopg.connect(server.url, autocommit=True) as connection:
            for setting in SESSION:
                connection.execute(f"SET {setting}")
            yield connection
    finally:
        server.stop()


def _load_rows(connection: psycopg.Connection, vectors: Halves) -> dict[str, Any]:
    rows, dim = vectors.shape
    print(f"pgvector, {rows:,} rows …", flush=True)
    connection.execute("CREATE EXTENSION vector")
    connection.execute(f"CREATE TABLE photo (id integer, vector halfvec({dim}) STORAGE PLAIN)")
    start = time.perf_counter()
    with connection.cursor() as cursor, cursor.copy("COPY photo FROM STDIN (FORMAT BINARY)") as copy:
        copy.write(COPY_HEADER)
        first = 0
        for block in copy_blocks(vectors):
            copy.write(_encode_rows(first, block))
            first += len(block)
        copy.write(COPY_END)
    copied = time.perf_counter()
    connection.execute("CREATE INDEX photo_vector ON photo USING hnsw (vector halfvec_ip_ops)")
    built = time.perf_counter()
    connection.execute("VACUUM ANALYZE photo")
    connection.execute("CHECKPOINT")
    size = connection.execute("SELECT pg_relation_size('photo_vector')").fetchone()
    version = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
    return {
        "version": version[0] if version else "",
        "copy_s": round(copied - start, 1),
        "build_s": round(built - copied, 1),
        "bytes_per_row": round(size[0] / rows) if size else 0,
    }


def _encode_rows(first: int, block: Halves) -> bytes:
    """Rows in the binary format of COPY: the number of fields, then the length and the bytes of each."""
    rows, dim = block.shape
    layout = [("fields", ">i2"), ("id_bytes", ">i4"), ("id", ">i4"), ("vector_bytes", ">i4"), ("dim", ">i2")]
    tuples = np.zeros(rows, np.dtype([*layout, ("unused", ">i2"), ("vector", ">f2", (dim,))]))
    tuples["fields"], tuples["id_bytes"], tuples["vector_bytes"], tuples["dim"] = 2, 4, 4 + 2 * dim, dim
    tuples["id"], tuples["vector"] = np.arange(first, first + rows), block
    return tuples.tobytes()


def _measure_searches(
    connection: psycopg.Connection, questions: Questions, wanted: float, ours: Callable[[int], Any]
) -> dict[str, Any]:
    info = TypeInfo.fetch(connection, "halfvec")
    if info is None:
        raise SystemExit("index: this PostgreSQL has no type halfvec.")
    connection.adapters.register_dumper(SentVector, type("Bound", (SentVectorDumper,), {"oid": info.oid}))
    cursor = connection.cursor(binary=True)
    asked, truth = [SentVector.from_halves(query) for query in questions.queries], questions.truth

    def find_rows(number: int) -> NDArray[np.int64]:
        return np.array([row[0] for row in cursor.execute(ASK, [asked[number], K], prepare=True).fetchall()], np.int64)

    def reaches_recall(effort: int) -> bool:
        cursor.execute(f"SET hnsw.ef_search = {effort}")
        return recall_of_rows([find_rows(number) for number in range(len(truth))], truth) >= wanted

    effort = find_least_reaching(reaches_recall, K, MOST_EF) or MOST_EF
    cursor.execute(f"SET hnsw.ef_search = {effort}")
    with use_one_thread():
        (_, beside), (answers, milliseconds) = time_in_turns((ours, find_rows), len(asked))
    reached = round(recall_of_rows(answers[: len(truth)], truth), 4)
    return {
        "recall_at_10": reached,
        **summarise_latencies(milliseconds),
        "ef_search": effort,
        "ours": summarise_latencies(beside),
    }
