"""The loop: start in order, relay what children say, restart what dies, stop everything in time.

One thread only: children ask the kernel to die with the thread that forked them.
"""

from __future__ import annotations

import selectors
import signal
import time
from collections.abc import Callable, Iterable
from types import FrameType

from marketplace.paths import broker_socket_path

from . import roles
from .console import Console, format_welcome
from .errors import CannotStart
from .home import Home
from .probe import fetch_readiness_status, is_broker_reachable, refuse_port_in_use
from .process import Process
from .roles import Role
from .site import Site

TICK = 0.1
# One Ctrl-C may arrive twice, from the terminal and from `make`: only a signal that comes later than this many seconds
# after the first means that somebody is in a hurry.
SECOND_SIGNAL_SECONDS = 1.0
ASK_READY_SECONDS = 0.5
SAY_NOT_READY_SECONDS = 60.0


class Supervisor:
    def __init__(self, site: Site, console: Console) -> None:
        self.site = site
        self.console = console
        self.home = Home(site.var)
        self._environ = site.child_environment()
        self.processes: list[Process] = []
        self._selector = selectors.DefaultSelector()
        self._stop_asked = 0.0
        self._hurry = False

    def run(self) -> int:
        with self.home.hold_lock():
            refuse_port_in_use(self.site.port)
            if not self._environ.get("SECRET_KEY"):
                self.home.ensure_secret_key()
            # SIGHUP comes when the terminal is closed: unhandled, it would end this process before its children.
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, self._handle_stop_signal)
            try:
                return self._run_site()
            finally:
                self._stop_everything()

    def _run_site(self) -> int:
        if self.site.runs_own_broker:
            self._start_broker_and_wait()
        if status := self._run_command_to_end(roles.management_command_role("prepare", "prepare")):
            return 0 if self._stop_asked else status
        self._start_roles(self.list_services())
        self._wait_until_ready_and_print_welcome()
        self._draw_demo_if_wanted()
        while not self._stop_asked:
            self._supervise_once()
        return 0

    def list_services(self) -> list[Role]:
        """What is started once the site is prepared, in this order."""
        return roles.list_services(self.site)

    def _draw_demo_if_wanted(self) -> None:
        """Fill an empty site while it already answers; a run that was interrupted is finished by the next one."""
        if self.site.demo and self.home.is_demo_wanted() and not self._stop_asked:
            self.console.print_message("drawing the demo catalogue; the site fills while you look.")
            if (
                self._run_command_to_end(roles.management_command_role("demo", "demo", f"--listings={self.site.demo}"))
                == 0
            ):
                self._write_home_file(self.home.mark_demo_done)
            elif not self._stop_asked:
                self.console.print_message("the demo catalogue is not finished; the next start goes on with it.")

    def _start_broker_and_wait(self) -> None:
        socket = broker_socket_path(self.site.var)
        socket.unlink(missing_ok=True)
        self._start_roles([roles.broker_role(self.site)])
        deadline = time.monotonic() + 10
        while not self._stop_asked and not is_broker_reachable(socket):
            if time.monotonic() > deadline:
                raise CannotStart(
                    f"the private broker does not answer on {socket}; see {roles.broker_log_path(self.site)}."
                )
            self._supervise_once()

    def _wait_until_ready_and_print_welcome(self) -> None:
        door, ask_at = self._environ["HEALTH_BIND"], time.monotonic()
        complain_at = ask_at + SAY_NOT_READY_SECONDS
        while not self._stop_asked:
            # Asked at intervals, because a site that starts says many lines.
            if time.monotonic() >= ask_at:
                if (status := fetch_readiness_status(door)) == 200:
                    break
                ask_at = time.monotonic() + ASK_READY_SECONDS
                if time.monotonic() > complain_at:
                    self.console.print_message(
                        f"still not ready: /health/ready at {door} answers {status or 'nothing'}."
                    )
                    complain_at = time.monotonic() + SAY_NOT_READY_SECONDS
            self._supervise_once()
        if not self._stop_asked:
            for line in format_welcome(self.site, self.site.var / "admin-password"):
                self.console.print_message(line)

    def _start_roles(self, wanted: Iterable[Role]) -> None:
        for role in wanted:
            process = Process(role, self._environ)
            self.processes.append(process)
            self._launch_process(process)

    def _launch_process(self, process: Process) -> None:
        process.start()
        self._selector.register(process.output, selectors.EVENT_READ, process)  # type: ignore[arg-type]
        self._record_process_ids()

    def _run_command_to_end(self, role: Role) -> int:
        """Run a command beside the services; its exit status."""
        self._start_roles([role])
        # A command runs once, but every process in this list is started again when it ends, so this one is taken out.
        process = self.processes.pop()
        while (status := process.poll_exit_and_kill_group()) is None:
            if self._stop_asked:
                # The command goes back into the list, so that it is stopped together with the services.
                self.processes.append(process)
                return 1
            self._supervise_once()
        self._clean_up_after_exit(process)
        return status

    def _supervise_once(self) -> None:
        """Relay lines, schedule restarts of the dead, restart what is due."""
        for key, _ in self._selector.select(TICK):
            self._relay_lines(key.data)
        for process in self.processes:
            if (status := process.poll_exit_and_kill_group()) is not None:
                expected = self._stop_asked or process.is_planned_exit
                self._clean_up_after_exit(process)
                if not expected:
                    delay = max(0.0, process.restart_at - time.monotonic())
                    self.console.print_line(
                        process.role.name, f"ended with status {status}; starts again in {delay:.1f} s."
                    )
            elif process.pid is None and not self._stop_asked and time.monotonic() >= process.restart_at:
                self._restart_process(process)

    def _restart_process(self, process: Process) -> None:
        try:
            self._launch_process(process)
        # The machine has no room for another process now.
        except OSError as exc:
            process.schedule_restart()
            delay = process.restart_at - time.monotonic()
            self.console.print_line(process.role.name, f"cannot start ({exc}); is tried again in {delay:.1f} s.")

    def _relay_lines(self, process: Process) -> None:
        for line in filter(None, process.read_lines()):
            self.handle_line(process, line)

    def handle_line(self, process: Process, line: str) -> None:
        self.console.print_line(process.role.name, line)

    def _clean_up_after_exit(self, process: Process) -> None:
        # What a child wrote last often says why it died, so it is read before the pipe is closed.
        self._relay_lines(process)
        self._selector.unregister(process.output)  # type: ignore[arg-type]
        process.schedule_restart()
        self._record_process_ids()

    def _record_process_ids(self) -> None:
        pids = {process.role.name: process.pid for process in self.processes if process.pid}
        self._write_home_file(lambda: self.home.write_process_ids(pids))

    def _write_home_file(self, write: Callable[[], None]) -> None:
        """What only people and the next start read must not end the site on a full disk."""
        try:
            write()
        except OSError as exc:
            self.console.print_message(f"a file below {self.site.var} is not written: {exc.strerror or exc}.")

    def _handle_stop_signal(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self._stop_asked:
            self._stop_asked = now
        elif now - self._stop_asked > SECOND_SIGNAL_SECONDS:
            self._hurry = True

    def _stop_everything(self) -> None:
        """Workers and web first, each with its grace; the broker they talk to last."""
        self._stop_asked = self._stop_asked or time.monotonic()
        self.console.print_message("stopping; Ctrl-C again stops at once.")
        last = [process for process in self.processes if process.role.name == "broker"]
        self._stop_processes([process for process in self.processes if process not in last])
        self._stop_processes(last)
        self.console.print_message("stopped.")

    def _stop_processes(self, processes: list[Process]) -> None:
        for process in processes:
            process.stop()
        while any(process.pid for process in processes):
            for process in processes:
                process.kill_if_late(hurry=self._hurry)
            self._supervise_once()
