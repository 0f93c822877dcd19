"""Whoever looks finds a file or folder whole, or not at all, also when its writer fails or is killed halfway."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ml.atomic_files import (
    make_temporary_folder_beside,
    open_atomic_file,
    open_atomic_text,
    put_folder_in_place,
    remove_files_and_empty_folder,
)

KILLED_WRITER = """
import os, signal, sys
from pathlib import Path
from ml.atomic_files import open_atomic_file
with open_atomic_file(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def _names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_gets_its_name_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "vectors.npy"
    with open_atomic_file(path) as file:
        file.write(b"all of it")
        assert not path.exists()
    assert path.read_bytes() == b"all of it"
    assert _names_in(tmp_path) == ["vectors.npy"]


def test_a_writer_that_fails_leaves_the_earlier_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    path.write_text("earlier")
    with pytest.raises(UnicodeEncodeError), open_atomic_text(path) as file:
        file.writelines(["written before the fault", "\ud800"])
    assert path.read_text() == "earlier"
    assert _names_in(tmp_path) == ["report.csv"]


def test_a_writer_that_is_killed_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(b"earlier")
    done = subprocess.run([sys.executable, "-c", KILLED_WRITER, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"earlier"
    with open_atomic_file(path) as file:  # what the killed writer left does not stand in the next one's way
        file.write(b"later")
    assert path.read_bytes() == b"later"
    assert _names_in(tmp_path) == ["checkpoint.pt"]


def test_text_is_utf_8_whatever_the_locale_says(tmp_path: Path) -> None:
    path = tmp_path / "refused.csv"
    with open_atomic_text(path, newline="\r\n") as file:
        file.write("naïve café\n")
    assert path.read_bytes() == "naïve café\r\n".encode()


def test_a_folder_beside_is_gone_at_the_end_unless_it_was_put_in_place(tmp_path: Path) -> None:
    place = tmp_path / "model"
    with make_temporary_folder_beside(place) as folder:
        (folder / "model.xml").write_text("abandoned")
    assert _names_in(tmp_path) == []
    with make_temporary_folder_beside(place) as folder:
        (folder / "model.xml").write_text("exported")
        put_folder_in_place(folder, place)
    assert _names_in(tmp_path) == ["model"]
    assert (place / "model.xml").read_text() == "exported"


def test_two_writers_never_share_a_folder_beside(tmp_path: Path) -> None:
    with (
        make_temporary_folder_beside(tmp_path / "model") as one,
        make_temporary_folder_beside(tmp_path / "model") as other,
    ):
        assert one != other


def test_removing_takes_finished_and_unfinished_files_of_a_name_and_leaves_others(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    for name in ("000.npz", ".001.npz.part", "notes.txt"):
        (folder / name).touch()
    remove_files_and_empty_folder(folder, re.compile(r"\d{3}\.npz"))
    assert _names_in(folder) == ["notes.txt"]
    (folder / "notes.txt").unlink()
    remove_files_and_empty_folder(folder, re.compile(r"\d{3}\.npz"))
    assert not folder.exists()


def test_removing_from_a_folder_that_is_gone_is_no_error(tmp_path: Path) -> None:
    remove_files_and_empty_folder(tmp_path / "gone", re.compile(".*"))
