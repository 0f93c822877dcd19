"""Which ids a file has shown so far, and on which line first.

Kept in SQLite's private temporary database, which moves to disk when it outgrows its cache: ten million ids need no
more memory than ten thousand.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Self


class SeenIds:
    def __init__(self) -> None:
        # With an empty name SQLite makes a private database on disk, which it deletes when this one is closed.
        self._database = sqlite3.connect("", isolation_level=None)
        # Nobody reads this database after a crash, so a journal to roll it back by would only cost time.
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE seen (id TEXT PRIMARY KEY, line INTEGER NOT NULL) WITHOUT ROWID")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._database.close()

    def record_first_lines(self, ids: Sequence[tuple[str, int]]) -> dict[str, int]:
        """Remember these (id, line) pairs; the line on which each id appeared first."""
        # The line on which an id came first has to stay, because people are told which line a later row repeats.
        self._database.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", ids)
        find = "SELECT line FROM seen WHERE id = ?"
        return {id_: self._database.execute(find, (id_,)).fetchone()[0] for id_, _line in ids}
