"""Hostile pictures end the process that decodes them, or are refused by it; this process goes on with the next one."""

import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from unittest.mock import Mock

import pytest
from PIL import Image

from ml.images import decode, decoder_process, sniff_header
from ml.images.decoder import load_picture, open_for_decoding
from ml.per_process import PerProcess
from tests.ml.images.refused import both, refusal
from tests.ml.pictures import FIXTURES, assert_corners, encode, quarters, scene

ROOT = Path(__file__).resolve().parents[3]
HEIC = (FIXTURES / "quarters.heic").read_bytes()


def before_decoding(statement: str, condition: str = "opened.header.format == 'AVIF'") -> str:
    """Lines that have a child run `statement` before it decodes an AVIF."""
    return (
        "load = child.load_picture\n"
        "def hostile(opened):\n"
        f"    if {condition}: {statement}\n"
        "    return load(opened)\n"
        "child.load_picture = hostile"
    )


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 20
    while is_there(pid):
        assert time.monotonic() < deadline, f"{pid} is still there"
        time.sleep(0.02)


@pytest.mark.parametrize("side", [None, 16, 100])
@pytest.mark.parametrize("fmt", ["HEIC", "AVIF"])
def test_the_pixels_are_those_that_the_same_code_gives_here(fmt, side):
    data = HEIC if fmt == "HEIC" else encode(scene(1), "AVIF")
    assert decode(data, side).tobytes() == load_picture(open_for_decoding(BytesIO(data), side)).tobytes()


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def container(*, items: int, extents: int, method: int = 0, coded: bool = True, outside: bool = False) -> bytes:
    """A megabyte whose items, all of the same id, have extents that take no byte to describe and claim all of it."""
    brand = box(b"ftyp", b"avif\0\0\0\0avifmif1")
    entry = box(b"infe", b"\2\0\0\0" + struct.pack(">HH", 1, 0) + (b"av01\0" if coded else b"Exif\0"))
    named = box(b"iinf", b"\0\0\0\0" + struct.pack(">H", 1) + entry)
    item = struct.pack(">HHHH", 1, method, 0, extents)
    located = box(b"iloc", b"\1\0\0\0" + b"\0\0" + struct.pack(">H", items) + item * items)
    meta = box(b"meta", b"\0\0\0\0" + named + (b"" if outside else located))
    return brand + meta + (located if outside else b"") + box(b"mdat", bytes(1_000_000))


@pytest.mark.parametrize(
    "data",
    [
        container(items=1, extents=2),
        container(items=400, extents=1),
        container(items=400, extents=1, outside=True),
        container(items=1, extents=65_535, method=1),
        container(items=65_535, extents=0),
        container(items=400, extents=65_535, coded=False),
        container(items=400, extents=1, coded=False),
        box(b"ftyp", b"avif\0\0\0\0avifmif1") + box(b"free", b"") * 100_000,
    ],
)
def test_a_container_that_claims_more_than_it_holds_is_refused(data):
    assert both(data) <= {"truncated", "too_many_pixels"}


def test_an_avif_that_holds_more_pixels_than_its_header_claims_gets_no_more_memory_than_is_allowed(child_program):
    size = (9000).to_bytes(4) + (8001).to_bytes(4)
    data = encode(Image.new("L", (9000, 8001)), "AVIF", speed=10, quality=1)
    assert len(data) < 5000
    assert size in data
    lie = data.replace(size, (16).to_bytes(4) + (16).to_bytes(4))
    assert decode(lie).size == (16, 16)  # scaled by the decoder, in the memory that a picture may take
    child_program("child.SPARE_BYTES = 60_000_000 - 2**28")
    decoder_process.idle_children.get().pop().end()
    assert refusal(decode, lie).code in ("truncated", "too_many_pixels")
    assert_corners(decode(HEIC))


def test_a_heic_that_holds_more_pixels_than_its_header_claims_is_refused():
    lie = HEIC.replace((64).to_bytes(4) + (48).to_bytes(4), (4).to_bytes(4) + (4).to_bytes(4))
    assert refusal(decode, lie.replace((64).to_bytes(4) * 2, (4).to_bytes(4) * 2)).code == "truncated"


def test_a_picture_that_takes_more_memory_than_is_allowed_is_refused_and_the_next_one_is_decoded(child_program):
    child_program(before_decoding("bytearray(2 << 30)"))
    assert refusal(decode, encode(quarters(), "AVIF")).code == "too_many_pixels"
    assert_corners(decode(HEIC))


def test_a_picture_that_takes_too_long_is_refused_and_the_next_one_is_decoded(child_program, monkeypatch):
    monkeypatch.setattr(decoder_process, "MOST_SECONDS", 1)
    child_program(before_decoding("sum(iter(int, 1))"))
    refused = refusal(decode, encode(quarters(), "AVIF"))
    assert (refused.code, refused.reason) == (
        "unsupported",
        "The photo takes too long to open. Save it as JPEG and send it again.",
    )
    assert_corners(decode(HEIC))


@pytest.mark.parametrize("wait", ["time.sleep(60)", "os.kill(os.getpid(), 19)"], ids=["waits", "stopped"])
def test_a_picture_that_the_machine_kept_waiting_is_not_blamed_and_the_next_one_is_decoded(
    child_program, monkeypatch, wait
):
    monkeypatch.setattr(decoder_process, "CLOCK_SECONDS", 1)
    child_program(before_decoding(wait))
    with pytest.raises(TimeoutError, match="not decoded within 1 s"):
        decode(encode(quarters(), "AVIF"))
    monkeypatch.setattr(decoder_process, "CLOCK_SECONDS", 20)
    assert_corners(decode(HEIC))


def test_a_child_that_is_killed_is_replaced_and_the_picture_decoded(child_program, tmp_path):
    note = tmp_path / "pid"
    child_program(
        f"note = {str(note)!r}",
        "def stop_here(): os.mkdir(note + str(os.getpid())); os.mkdir(note); time.sleep(60)",
        before_decoding("stop_here()", "not os.path.exists(note)"),
    )

    def kill() -> None:
        while not note.exists():
            time.sleep(0.01)
        os.kill(int(next(tmp_path.glob("pid?*")).name[3:]), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    assert_corners(decode(HEIC))
    killer.join()


def test_a_child_that_is_killed_while_it_starts_is_started_again(child_program, monkeypatch, tmp_path):
    note = str(tmp_path / "note")
    die_once = f"import os\nif not os.path.exists({note!r}): os.mkdir({note!r}); os.kill(os.getpid(), 9)\n"
    monkeypatch.setattr(decoder_process, "PROGRAM", die_once + decoder_process.PROGRAM)
    assert_corners(decode(HEIC))


@pytest.mark.parametrize(
    ("death", "code"),
    [
        ("os.abort()", "truncated"),
        ("os.kill(os.getpid(), 11)", "truncated"),
        ("os._exit(3)", "truncated"),
        ("os.kill(os.getpid(), 9)", "too_many_pixels"),  # as the kernel does when memory is short
    ],
)
def test_a_picture_that_ends_two_children_is_refused_and_the_next_one_is_decoded(child_program, death, code):
    child_program(before_decoding(death))
    assert refusal(decode, encode(quarters(), "AVIF")).code == code
    assert_corners(decode(HEIC))


OPENED = '{"format": "HEIF", "width": 4, "height": 4, "oriented": false, "peak_bytes": 1}'


@pytest.mark.parametrize(
    "answers",
    [
        "nonsense",
        '{"format": "HEIF", "width": -1, "height": 4, "oriented": false, "peak_bytes": 1}',
        OPENED + r'\n{"width": 100000, "height": 100000}',
        OPENED + r'\n{"width": 4, "height": 4}\nxxx',
        '{"refused": "x", "code": "made up"}',
        "[" * 4000,
    ],
)
def test_a_child_that_answers_nonsense_is_believed_nothing(child_program, monkeypatch, answers):
    monkeypatch.setattr(decoder_process, "PROGRAM", f"print('{{\"ready\": true}}\\n{answers}')")
    assert refusal(decode, HEIC).code == "truncated"


@pytest.mark.parametrize("program", ["raise SystemExit(3)", "import no_such_module"])
def test_where_no_child_can_start_no_picture_is_blamed(child_program, monkeypatch, program):
    monkeypatch.setattr(decoder_process, "PROGRAM", program)
    for function in (decode, lambda data: sniff_header(BytesIO(data))):
        with pytest.raises(OSError, match="The process that decodes pictures does not start"):
            function(HEIC)


@pytest.mark.parametrize(
    ("module", "name", "trouble"),
    [("sys", "executable", "/no/such/python"), ("threading.Thread", "start", Mock(side_effect=RuntimeError))],
)
def test_what_the_system_refuses_when_a_child_starts_is_no_missing_file(
    child_program, monkeypatch, module, name, trouble
):
    monkeypatch.setattr(f"{module}.{name}", trouble)
    with pytest.raises(ChildProcessError, match="The process that decodes pictures does not start"):
        decode(HEIC)


def test_what_fails_in_a_child_but_is_no_fault_of_the_picture_is_told_as_such(child_program):
    child_program("def fail(opened): raise ImportError('no codec' + 1000 * 'é')", "child.load_picture = fail")
    with pytest.raises(OSError, match="cannot be decoded on this machine: ImportError: no codecé"):
        decode(HEIC)


def test_a_child_that_has_nothing_to_do_leaves_and_is_reaped(child_program):
    child_program("child.IDLE_SECONDS = 0.1")
    decode(HEIC)
    (child,) = decoder_process.idle_children.get()
    wait_until_gone(child.pid)
    assert_corners(decode(HEIC))


def test_threads_have_a_child_each_and_use_them_again(child_program):
    with ThreadPoolExecutor(2) as pool:
        pictures = list(pool.map(lambda _: decode(HEIC).tobytes(), range(8)))
    assert len(set(pictures)) == 1
    assert 1 <= len(decoder_process.idle_children.get()) <= 2


def test_a_user_whose_pipes_may_not_grow_decodes_all_the_same(child_program, monkeypatch):
    monkeypatch.setattr(decoder_process, "PIPE_BYTES", 1 << 31)  # more than a pipe may hold for anybody
    assert_corners(decode(HEIC))


def test_a_child_that_another_thread_takes_at_the_same_moment_is_not_missed(monkeypatch):
    idle = type("TakenMeanwhile", (list,), {"__bool__": lambda _: True})()
    monkeypatch.setattr(decoder_process, "idle_children", PerProcess(lambda: idle))
    assert_corners(decode(HEIC))
    idle.pop().end()


def test_a_child_knows_no_secrets_and_ends_by_no_signal_meant_for_its_parent(child_program, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "hidden")
    decode(HEIC)
    (child,) = decoder_process.idle_children.get()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(child.pid, number)
    assert_corners(decode(HEIC))
    assert [child] == decoder_process.idle_children.get()
    assert "hidden" not in Path(f"/proc/{child.pid}/environ").read_text()
    # Nor does it leave an image of its memory on the disk when it crashes.
    assert re.search(r"Max core file size +0 +0 ", Path(f"/proc/{child.pid}/limits").read_text())


ALONE = """
import os, sys
from ml.images import decode, decoder_process
data = open(sys.argv[1], 'rb').read()
decode(data)
(child,) = decoder_process.idle_children.get()
if not os.fork():
    decode(data)
    (own,) = decoder_process.idle_children.get()
    os._exit(own.pid == child.pid)
assert os.wait()[1] == 0
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_ends_with_its_parent_wherever_the_project_lies(tmp_path, ending):
    folder = tmp_path / "a#b: c%25 é"
    shutil.copytree(ROOT / "ml" / "images", folder / "ml" / "images")
    for name in ("__init__.py", "per_process.py"):
        shutil.copy(ROOT / "ml" / name, folder / "ml" / name)
    with subprocess.Popen(
        [sys.executable, "-c", ALONE, str(FIXTURES / "quarters.heic")],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        pid = int(parent.stdout.readline())
        assert is_there(pid)
        parent.send_signal(ending)
    wait_until_gone(pid)
