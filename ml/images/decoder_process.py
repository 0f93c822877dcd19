"""A process beside this one that decodes what takes much memory or time, or memory by what a file claims.

A hostile file ends that process, never this one: it may take `PEAK_BYTES` and `MOST_SECONDS` of the processor. What
takes `CLOCK_SECONDS` by the clock was kept waiting by this machine, and is no picture's fault. The process is started
when the first such picture comes, by exec and not by fork, serves one picture at a time, and leaves when this process
ends or sends nothing for a minute (`decoder_child`). Threads have one each.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, TypeVar, cast

from PIL import Image

from ml.per_process import PerProcess

from . import cut_off
from .header import CODES, FORMATS, PEAK_BYTES, PREFIX_BYTES, Code, Header, PhotoRefused, find_format_in_container
from .parts import Box

logger = logging.getLogger(__name__)

T = TypeVar("T")

Refusal = tuple[str, Code]  # why a picture is refused whose process ended
_TOO_SLOW: Refusal = "The photo takes too long to open. Save it as JPEG and send it again.", "unsupported"
_TOO_LARGE: Refusal = "The photo takes too much memory to open. Save it as JPEG and send it again.", "too_many_pixels"
_DAMAGED: Refusal = "The photo is damaged and cannot be opened. Save it as JPEG and send it again.", "truncated"
_BY_STATUS = {-signal.SIGXCPU: _TOO_SLOW, -signal.SIGKILL: _TOO_LARGE}  # the kernel kills when memory is short
# The slowest that devices make, a HEIC of 48 million pixels, takes two to three seconds of a core of a server.
MOST_SECONDS = 8
START_SECONDS = CLOCK_SECONDS = 20  # twice, to open and to decode, it must end within a worker's lease
LONGEST_SIDE = 1 << 31
PPM_LINES = 3  # say the size again; three bytes for each pixel follow
LONGEST_ANSWER = 4096  # bytes of a line, which is all that comes beside pixels
STRIP_BYTES = PIPE_BYTES = 1 << 20  # the largest pipe that Linux gives to everybody

# Where it finds this package is an argument, because PYTHONPATH cannot hold a folder with a colon in its name. Signals
# that a terminal sends to both are for the parent, which ends the child by closing the pipe.
PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
memory, seconds, *sys.path = sys.argv[1:]
from ml.images.decoder_child import serve
serve(int(memory), int(seconds))
"""
# The rest of the environment holds secrets, and settings of libraries that were not meant for this process.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "COVERAGE_PROCESS_START")
# Arenas and threads of these libraries reserve address space, which is what is limited. What is allocated in large
# pieces goes back to the system when it is freed.
_ALLOCATION = {"MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
_ALLOCATION |= {"MALLOC_MMAP_THRESHOLD_": "1048576"}


class ChildEnded(Exception):
    """The process ended before it answered, or answered nonsense; `refusal` is what its picture is refused with."""

    def __init__(self, reason: str, refusal: Refusal) -> None:
        super().__init__(reason)
        self.refusal = refusal


class DecoderProcess:
    """One child, for one thread at a time. Raises: ChildEnded, by every method; OSError, when it starts."""

    def __init__(self) -> None:
        self._is_late = self._is_leaving = False
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter and a program of this module
            [sys.executable, "-I", "-c", PROGRAM, str(PEAK_BYTES), str(MOST_SECONDS), *_list_import_folders()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=os.sep,  # so that no folder is kept from being deleted or unmounted
            env=_ALLOCATION | {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        )
        self._requests = cast("IO[bytes]", self._process.stdin)
        self._answers = cast("IO[bytes]", self._process.stdout)
        for pipe in (self._requests, self._answers):
            _widen_pipe(pipe)
        # A child that leaves by itself is reaped at once, and `is_waiting` knows it.
        threading.Thread(target=self._process.wait, name="decoder-reaper", daemon=True).start()
        with self._limit_time(START_SECONDS):
            self._read_answer()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_waiting(self) -> bool:
        """Whether it may be given another picture."""
        return self._process.returncode is None and not self._is_leaving and not self._is_late

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._requests, self._answers):
            with suppress(OSError):  # of what was still to be written
                pipe.close()

    def open(self, data: bytes, max_side: int | None, box: Box | None = None, *, to_decode: bool) -> tuple[Header, int]:
        """The picture's header, and the most memory that decoding it takes. Raises PhotoRefused, too."""
        request = {"open" if to_decode else "sniff": len(data), "max_side": max_side, "box": box}
        request["claims"] = find_format_in_container(data[:PREFIX_BYTES]) is not None
        with self._limit_time(CLOCK_SECONDS):
            self._send(request, data)
            match self._read_answer():
                case {
                    "format": str(name),
                    "width": int(width),
                    "height": int(height),
                    "oriented": bool(oriented),
                    "peak_bytes": int(peak_bytes),
                } if name in FORMATS and 0 < width <= LONGEST_SIDE and 0 < height <= LONGEST_SIDE:
                    return Header(name, width, height, oriented), peak_bytes
        raise self._end_for_nonsense()

    def decode(self) -> Image.Image:
        """The pixels of the picture that was opened. Raises PhotoRefused, too."""
        with self._limit_time(CLOCK_SECONDS):
            self._send({"decode": True})
            match self._read_answer():
                case {"width": int(width), "height": int(height), cut_off.MISSING: float() | int() | None as share} if (
                    width > 0 and height > 0 and 3 * width * height <= PEAK_BYTES
                ):
                    picture = self._read_pixels(width, height)
                    picture.info = {} if share is None else {cut_off.MISSING: share}
                    return picture
        raise self._end_for_nonsense()

    def _send(self, request: Mapping[str, object], data: bytes = b"") -> None:
        try:
            self._requests.write(json.dumps(request).encode() + b"\n")
            self._requests.write(data)
            self._requests.flush()
        except OSError as exc:
            raise self._explain_end() from exc

    def _read_answer(self) -> dict[str, object]:
        line = self._answers.readline(LONGEST_ANSWER)
        if not line.endswith(b"\n"):
            raise self._explain_end()
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        self._is_leaving = isinstance(answer, dict) and "leaving" in answer
        match answer:
            case {"refused": str(reason), "code": code} if code in CODES:
                raise PhotoRefused(reason, code)
            case {"failed": str(reason)}:
                raise ChildProcessError(errno.ECHILD, f"Pictures cannot be decoded on this machine: {reason}")
            case dict():
                return answer
        raise self._end_for_nonsense()

    def _read_pixels(self, width: int, height: int) -> Image.Image:
        for _ in range(PPM_LINES):
            self._answers.readline(LONGEST_ANSWER)
        picture = Image.new("RGB", (width, height))
        rows = max(1, STRIP_BYTES // (3 * width))
        for top in range(0, height, rows):
            size = width, min(rows, height - top)
            strip = self._answers.read(3 * size[0] * size[1])
            if len(strip) < 3 * size[0] * size[1]:
                raise self._explain_end()
            picture.paste(Image.frombytes("RGB", size, strip), (0, top))
        return picture

    @contextmanager
    def _limit_time(self, seconds: float) -> Iterator[None]:
        timer = threading.Timer(seconds, self._kill_as_late)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _kill_as_late(self) -> None:
        self._is_late = True
        self._process.kill()

    def _explain_end(self) -> Exception:
        """What a closed pipe means; whatever is left of the process ends."""
        status = self._process.wait() if self._is_late else self._wait_or_kill()
        if self._is_late:
            return TimeoutError(errno.ETIMEDOUT, f"A picture was not decoded within {CLOCK_SECONDS} s on this machine")
        return ChildEnded(f"it ended with status {status}.", _BY_STATUS.get(status, _DAMAGED))

    def _wait_or_kill(self) -> int:
        try:
            return self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _end_for_nonsense(self) -> ChildEnded:
        self._process.kill()
        return ChildEnded("it answered nonsense.", _DAMAGED)


def _widen_pipe(pipe: IO[bytes]) -> None:
    """Let more bytes wait in it, so that both ends wait less for each other, where the system can and may."""
    with suppress(OSError, AttributeError):  # what all pipes of a user may hold together is limited
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


idle_children: PerProcess[list[DecoderProcess]] = PerProcess(list)


def sniff_apart(data: bytes, max_side: int | None) -> Header:
    """The header of a picture, read in another process. Raises: PhotoRefused, OSError."""
    return _run_in_child(lambda child: child.open(data, max_side, to_decode=False)[0])


def decode_apart(
    data: bytes, max_side: int | None, box: Box | None, hold_memory: Callable[[int], AbstractContextManager[None]]
) -> tuple[Header, Image.Image]:
    """The header and the picture, decoded apart while `hold_memory(bytes)` is held. Raises: PhotoRefused, OSError."""

    def decode(child: DecoderProcess) -> tuple[Header, Image.Image]:
        header, peak = child.open(data, max_side, box, to_decode=True)
        with hold_memory(peak):
            return header, child.decode()

    return _run_in_child(decode)


def _run_in_child(work: Callable[[DecoderProcess], T]) -> T:
    """Run `work` with a child of its own; once more with a fresh one if that ends.

    A child may be killed for what it has nothing to do with, as by the kernel when memory is short. A picture that ends
    two is at fault.
    """
    refusal = _DAMAGED
    for child in (_take_idle_child(), None):
        try:
            return _run_and_keep_child(work, child or _start_child())
        except ChildEnded as exc:
            logger.warning("The process that decodes a picture is gone: %s", exc)
            refusal = exc.refusal
            if refusal == _TOO_SLOW:
                break
    raise PhotoRefused(*refusal)


def _start_child() -> DecoderProcess:
    try:
        with suppress(ChildEnded):  # it may be killed for what it has nothing to do with, too
            return DecoderProcess()
        return DecoderProcess()
    except (ChildEnded, OSError, RuntimeError) as exc:  # the last where no thread can start
        # Neither a picture's fault nor a missing file.
        raise ChildProcessError(errno.ECHILD, f"The process that decodes pictures does not start: {exc}") from exc


def _run_and_keep_child(work: Callable[[DecoderProcess], T], child: DecoderProcess) -> T:
    is_kept = False
    try:
        result = work(child)
        is_kept = True
    except PhotoRefused:
        is_kept = child.is_waiting
        raise
    finally:
        # One that is in the middle of something is of no use to anybody.
        if is_kept:
            idle_children.get().append(child)
        else:
            child.end()
    return result


def _take_idle_child() -> DecoderProcess | None:
    idle = idle_children.get()
    with suppress(IndexError):  # there is none, or another thread took the last
        while not (child := idle.pop()).is_waiting:
            child.end()
        return child
    return None


def _list_import_folders() -> list[str]:
    """Where this process finds modules, first of all this project's own; none relative to a working directory."""
    root = str(Path(__file__).resolve().parents[2])
    return [root, *(os.path.abspath(path) for path in sys.path if path and path != root)]  # noqa: PTH100
