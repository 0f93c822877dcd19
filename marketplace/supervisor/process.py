"""One child: started in a process group of its own, read line by line, restarted later and later."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import IO

from .parent import die_with_parent
from .roles import Role
from .site import ROOT

LONGEST_DELAY = 30.0
STEADY_SECONDS = 10.0
# A reload sets the count of deaths to this, so that a child that dies of the code just saved waits for the longest
# delay: only another change of the code can help it.
HOPELESS_DEATHS = 6


def restart_delay(deaths: int) -> float:
    """Seconds between one start and the next, after so many deaths in a row."""
    return min(LONGEST_DELAY, 0.5 * 2 ** (deaths - 1))


class Process:
    def __init__(self, role: Role, environ: Mapping[str, str]) -> None:
        self.role = role
        self.deaths = 0
        self.restart_at = 0.0
        self._is_restarting = False
        self._environ = {**role.environ, **environ}
        self._child: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._kill_at = float("inf")
        self._rest = b""

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    @property
    def output(self) -> IO[bytes] | None:
        return self._child.stdout if self._child else None

    def start(self) -> None:
        # Before it may fail, because a start that fails is not tried again at once.
        self._started = time.monotonic()
        self._child = subprocess.Popen(  # noqa: S603 - the commands are this package's own
            self.role.command,
            cwd=ROOT,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # In a session of its own, so that Ctrl-C reaches the supervisor alone, and the child can be killed together
            # with all that it has started.
            start_new_session=True,
            preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509 - safe, because the supervisor has one thread
        )
        self._kill_at = float("inf")
        os.set_blocking(self._child.stdout.fileno(), False)  # type: ignore[union-attr]

    def read_lines(self) -> list[str]:
        """Whole lines written since the last call."""
        if self.output is None:
            return []
        with suppress(BlockingIOError):
            while chunk := os.read(self.output.fileno(), 65536):
                self._rest += chunk
        # What follows the last line end is the beginning of a line, the rest of which comes with a later call.
        *whole, self._rest = self._rest.split(b"\n")
        return [line.decode(errors="replace").rstrip() for line in whole]

    def poll_exit_and_kill_group(self) -> int | None:
        """The exit status if the child has ended since it was started; whatever it left in its group is killed."""
        if self._child is None or (status := self._child.poll()) is None:
            return None
        self._signal_group(signal.SIGKILL)
        return status

    def schedule_restart(self) -> None:
        """Forget the dead child and decide when the next one may start.

        The pause counts from the last start: what dies of itself does so soon, what was killed need not wait.
        """
        if self._child and self._child.stdout:
            self._child.stdout.close()
        now = time.monotonic()
        if self.is_planned_exit:
            self.restart_at = now
        else:
            self.deaths = 1 if now - self._started > STEADY_SECONDS else self.deaths + 1
            self.restart_at = max(now, self._started + restart_delay(self.deaths))
        self._child, self._rest, self._is_restarting = None, b"", False

    @property
    def is_planned_exit(self) -> bool:
        """Whether its end was asked for so that it starts anew; a reload signal that comes before the child knows it
        ends the child too."""
        by_signal = self._child and self.role.reload_signal and self._child.returncode == -self.role.reload_signal
        return self._is_restarting or bool(by_signal)

    def reload_code(self) -> None:
        """Have the child load its code anew, where it can by a signal, else by its end and another start. A child that
        has died starts at once, because what it died of may have been in the code."""
        self.deaths, self.restart_at = HOPELESS_DEATHS, 0.0
        if self._child and self.role.reload_signal:
            self._started = time.monotonic()
            self._child.send_signal(self.role.reload_signal)
        elif self._child and not self._is_restarting:
            self._is_restarting = True
            self.stop()

    def stop(self) -> None:
        """Ask the child to end; a stopped (SIGSTOP) one is woken so that it can."""
        self._kill_at = time.monotonic() + self.role.grace
        if self._child:
            self._child.terminate()
            self._signal_group(signal.SIGCONT)

    def kill_if_late(self, *, hurry: bool) -> None:
        if hurry or time.monotonic() > self._kill_at:
            self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: signal.Signals) -> None:
        if self._child:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.pid, number)
