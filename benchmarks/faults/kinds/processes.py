"""Processes that are killed, end, stop and go on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from benchmarks.faults.fault import BACK_WITHIN_SECONDS, Fault, Inject, at_once
from benchmarks.faults.scene import Scene
from tests.servers.stack import children

STOPS = (3.0, 10.0)
KILLS_IN_A_ROW = 3
DECODER = b"ml.images.decoder"  # in the command line of a process that decodes

Find = Callable[[Scene], list[int]]


def list_faults(scene: Scene) -> list[Fault]:
    names = [name for name in scene.stack.pids() if name != "supervisor"]
    found: dict[str, Find] = {name: partial(find_named, name=name) for name in names}
    found |= {"a web worker": find_web_worker, "a child of default": find_task_process, "decoders": find_decoders}
    mended = partial(Fault, back_within=BACK_WITHIN_SECONDS)
    return [
        *(mended(f"kill -9 {name}", at_once(partial(send, find, signal.SIGKILL))) for name, find in found.items()),
        mended(f"kill -9 embedding-1, {KILLS_IN_A_ROW} times", at_once(kill_again_and_again)),
        mended("kill -9 supervisor", restart_killed_site, since_start=True),
        *(Fault(f"end {name}", at_once(partial(send, find, signal.SIGTERM))) for name, find in found.items()),
        Fault("web loads its code anew", at_once(partial(send, found["web"], signal.SIGHUP))),
        *(
            Fault(f"stop {name} {seconds:.0f} s", stop(find), seconds)
            for seconds in STOPS
            for name, find in {**found, "every web worker": find_web_workers}.items()
        ),
    ]


def find_named(scene: Scene, name: str) -> list[int]:
    return [scene.stack.pids()[name]]


def find_web_workers(scene: Scene) -> list[int]:
    return scene.stack.web_workers()


def find_web_worker(scene: Scene) -> list[int]:
    workers = scene.stack.web_workers()
    return scene.random.sample(workers, min(1, len(workers)))


def find_task_process(scene: Scene) -> list[int]:
    """The process in which the default worker runs its tasks."""
    return children(scene.stack.pids()["default"])[:1]


def find_decoders(scene: Scene) -> list[int]:
    return [pid for pid in scene.stack.all_pids() if DECODER in read_command_line(pid)]


def read_command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has just ended
        return b""


def wait_for_some(find: Find, scene: Scene) -> list[int]:
    """Those to hit: decoders work only once an AVIF was saved, and what was killed a moment ago is started again."""
    return scene.stack.wait_for(lambda: find(scene), "there is a process to hit", every=0.02)


def send(find: Find, number: signal.Signals, scene: Scene) -> None:
    for pid in wait_for_some(find, scene):
        send_to(pid, number)


def send_to(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has just ended, by itself or by whoever watches it
        os.kill(pid, number)


def stop(find: Find) -> Inject:
    @contextmanager
    def inject(scene: Scene) -> Iterator[None]:
        pids = wait_for_some(find, scene)
        try:
            for pid in pids:
                send_to(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in pids:
                send_to(pid, signal.SIGCONT)

    return inject


def kill_again_and_again(scene: Scene) -> None:
    """Kill the embedding worker, and each of its successors while it embeds."""
    for left in reversed(range(KILLS_IN_A_ROW)):
        killed = scene.stack.kill("embedding-1")
        if left:
            scene.stack.wait_for_restart("embedding-1", killed, timeout=60)
            time.sleep(scene.random.uniform(2, 5))


@contextmanager
def restart_killed_site(scene: Scene) -> Iterator[None]:
    """As an operator would: the site is started again at once."""
    scene.stack.kill_supervisor()
    yield
    scene.stack.start()
