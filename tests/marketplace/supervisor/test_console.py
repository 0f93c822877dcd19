"""A site goes on while its log cannot be written, and while its own small files cannot."""

import os
import resource
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from marketplace.supervisor.console import Console
from marketplace.supervisor.errors import CannotStart
from marketplace.supervisor.home import Home
from marketplace.supervisor.roles import Role
from marketplace.supervisor.site import Site
from marketplace.supervisor.supervisor import Supervisor

FULL = Path("/dev/full")


@contextmanager
def no_room_for_files():
    """Every write to a file fails, as on a disk with a quota that is used up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def pipe():
    """A pipe that is full, because nobody reads it: where to read, and a console that writes."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    with suppress(BlockingIOError):
        while True:
            os.write(write, b"x" * 65536)
    os.set_blocking(write, True)
    with os.fdopen(read, "rb", buffering=0) as reader, os.fdopen(write, "w") as writer:
        yield reader, Console(writer)


def test_lines_for_a_full_disk_are_dropped():
    with FULL.open("w") as full:
        console = Console(full)
        console.print_line("web", "a line")
        console.print_message("another")


def test_lines_for_a_reader_that_stopped_are_dropped_and_counted_when_it_goes_on(pipe):
    reader, console = pipe
    began = time.monotonic()
    for number in range(20):
        console.print_line("web", f"line {number}")
    assert time.monotonic() - began < 5
    reader.read(1 << 20)
    console.print_line("web", "the reader is back")
    said = reader.read(1 << 20).decode()
    assert "20 lines are missing here" in said
    assert said.splitlines()[-1] == "web        │ the reader is back"


def test_a_pipe_whose_reader_has_gone_ends_nothing(pipe):
    reader, console = pipe
    reader.close()
    console.print_line("web", "a line")


def test_a_site_restarts_what_dies_while_neither_its_log_nor_its_files_can_be_written(tmp_path):
    site = Site.from_environment({"VAR_DIR": str(tmp_path / "var")})
    with FULL.open("w") as full:
        supervisor = Supervisor(site, Console(full))
        supervisor.home.run = Path("/dev/full/run")
        supervisor._start_roles([Role("worker", ("sh", "-c", "echo a line; exit 3"))])
        (worker,) = supervisor.processes
        deadline = time.monotonic() + 20
        while worker.deaths < 2 and time.monotonic() < deadline:
            supervisor._supervise_once()
        assert worker.deaths >= 2, "it was started again"
        supervisor._stop_everything()


def test_a_process_that_the_machine_cannot_start_is_tried_again(tmp_path, monkeypatch):
    site = Site.from_environment({"VAR_DIR": str(tmp_path / "var")})
    with (tmp_path / "log").open("w") as log:
        supervisor = Supervisor(site, Console(log))
        (tmp_path / "var" / "run").mkdir(parents=True)
        supervisor._start_roles([Role("worker", ("sleep", "60"))])
        (worker,) = supervisor.processes
        worker.role = Role("worker", ("/nowhere/at-all",))
        os.kill(worker.pid, 9)
        while worker.deaths < 2:
            supervisor._supervise_once()
        supervisor._stop_everything()
    assert "cannot start ([Errno 2]" in (tmp_path / "log").read_text()


def test_a_start_on_a_full_disk_is_refused_and_leaves_no_empty_secret(tmp_path):
    home = Home(tmp_path / "var")
    with home.hold_lock(), no_room_for_files(), pytest.raises(CannotStart, match="secret-key cannot be written"):
        home.ensure_secret_key()
    assert not (tmp_path / "var" / "secret-key").exists()
    with no_room_for_files(), pytest.raises(CannotStart, match="cannot be written to"), home.hold_lock():
        pass
