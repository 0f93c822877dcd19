"""What runs in a decoder process: requests on stdin, answers on stdout, one picture at a time.

`{"open": bytes, "max_side": side}` and the bytes of a file are answered with its header, and `{"decode": true}` then
with a size and a PPM file; `{"sniff": bytes, …}` asks for the header alone. Requests and answers are lines of JSON; an
answer may be a refusal instead.
"""

from __future__ import annotations

import gc
import io
import json
import os
import resource
import select
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from PIL import AvifImagePlugin, Image

from .cut_off import MISSING
from .decoder import Opened, load_picture, open_for_decoding
from .header import PhotoRefused

IDLE_SECONDS = 60
# For the file, copies of it, threads' stacks, and what an allocator reserves beyond what it hands out.
SPARE_BYTES = 256 * 1024 * 1024
# What Pillow reserves for an animation in any WebP, and never touches where there is none. The memory of this and of
# other formats whose decoders obey the header is judged by that.
UNTOUCHED_BYTES = 1024**3
MOST_THREADS = 4


def serve(memory: int, seconds: int) -> None:
    """Answer until the parent ends or is silent for a minute; a picture may take so much memory and processor time."""
    parent = os.getppid()
    requests, answers = _take_pipes()
    _ignore_signals()
    _offer_itself_to_the_killer()
    AvifImagePlugin.DEFAULT_MAX_THREADS = min(MOST_THREADS, os.cpu_count() or 1)
    # What a crash would write is as large as the memory, and whoever sends crashing pictures would fill the disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    taken = _count_reserved_bytes()
    _write_line(answers, {"ready": True})
    opened = None
    while line := _read_request(requests, parent, may_leave=opened is None):
        _limit_processor_time(seconds)
        try:
            request = json.loads(line)
            if "decode" not in request:
                _limit_memory(taken + memory + (SPARE_BYTES if request["claims"] else UNTOUCHED_BYTES))
            opened = _answer(request, opened, requests, answers)
            if opened is None:
                # Pillow's pictures refer to themselves, and the memory of a large one must not wait for another one.
                gc.collect()
        except PhotoRefused as refusal:
            opened = None
            _write_line(answers, {"refused": refusal.reason, "code": refusal.code})
        except Exception as exc:  # noqa: BLE001 - the parent tells it
            _write_line(answers, _explain_failure(exc) | {"leaving": True})
            return


def _explain_failure(exc: Exception) -> dict[str, object]:
    """What is the picture's fault, or else this machine's trouble."""
    if isinstance(exc, MemoryError):
        reason = "The photo takes too much memory to open. Save it as JPEG and send it again."
        return {"refused": reason, "code": "too_many_pixels"}
    return {"failed": f"{type(exc).__name__}: {exc}"[:500]}


def _answer(request: dict[str, Any], opened: Opened | None, requests: IO[bytes], answers: IO[bytes]) -> Opened | None:
    """Serve one request. Returns the picture that is open after it."""
    if opened and "decode" in request:
        _write_picture(answers, load_picture(opened))
        return None
    file = io.BytesIO(requests.read(request["open" if "open" in request else "sniff"]))
    box = tuple(request["box"]) if request.get("box") else None
    opened = open_for_decoding(file, request.get("max_side"), box)
    _write_line(answers, {**vars(opened.header), "peak_bytes": opened.peak_bytes})
    return opened if "open" in request else None


def _take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """The two pipes under numbers of their own, so that nothing that a library prints is taken for an answer."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return requests, answers


def _ignore_signals() -> None:
    """A terminal, and whoever stops a group of processes, reaches this one too, but only its parent ends it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _offer_itself_to_the_killer() -> None:
    """When memory is short the kernel should end this process, which is cheap to start again, and not its parent."""
    with suppress(OSError):  # not Linux
        Path("/proc/self/oom_score_adj").write_text("1000")


def _count_reserved_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return SPARE_BYTES  # not Linux


def _limit_memory(most: int) -> None:
    """Let allocations fail beyond `most` bytes, where the system can."""
    with suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def _limit_processor_time(seconds: int) -> None:
    with suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 1 + seconds, hard))


def _read_request(requests: IO[bytes], parent: int, *, may_leave: bool) -> bytes:
    """The next line; empty at the end. Nobody waits for ever: a fork of the parent may hold the pipe open after it."""
    while not select.select([requests], [], [], IDLE_SECONDS)[0]:
        if may_leave or os.getppid() != parent:
            return b""
    return requests.readline()


def _write_line(answers: IO[bytes], answer: dict[str, object]) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


def _write_picture(answers: IO[bytes], picture: Image.Image) -> None:
    """The size, what is missing, and a PPM file, which Pillow writes from its own memory without a copy."""
    _write_line(answers, {"width": picture.width, "height": picture.height, MISSING: picture.info.get(MISSING)})
    picture.save(answers, "PPM")
    answers.flush()
