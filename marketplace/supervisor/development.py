"""`make dev`: the site of `make run` with DEBUG, whose web and worker processes load code anew when it is saved."""

from __future__ import annotations

from collections.abc import Mapping

from .process import Process
from .roles import Role, python_role
from .supervisor import Supervisor

WATCHER = "reload"
# The supervisor hears of saved files only through the watcher's output, by lines that begin like this.
SAVED = "saved: "
# The supervisor and gunicorn's master go on through a reload, so what these two have loaded changes only at the next
# start of `make dev`.
LOADED_BEFORE = (
    "marketplace/__init__.py",
    "marketplace/celery.py",
    "marketplace/paths.py",
    "marketplace/serving/__init__.py",
    "marketplace/serving/gunicorn.py",
    "marketplace/serving/temporary.py",
    "marketplace/serving/worker.py",
    "marketplace/supervisor/",
    "ml/__init__.py",
    "ml/atomic_files.py",
)

DEFAULTS = {
    # The debug toolbar keeps what it measured in the memory of the process that answered, so only one may answer.
    "WEB_PROCESSES": "1",
    # A worker that is to load saved code ends only after its time slice, and whoever saved the file waits for that.
    "EMBED_SLICE_SECONDS": "2",
    "WORKER_STOP_GRACE_SECONDS": "5",
}


def development_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What the caller set wins, but not over DEBUG: that is what was asked for."""
    return {**DEFAULTS, **environ, "DJANGO_SETTINGS_MODULE": "marketplace.settings.development"}


class DevelopmentSupervisor(Supervisor):
    def list_services(self) -> list[Role]:
        return [*super().list_services(), python_role(WATCHER, "-m", "marketplace.supervisor.watcher")]

    def handle_line(self, process: Process, line: str) -> None:
        super().handle_line(process, line)
        if process.role.name == WATCHER and line.startswith(SAVED) and not self._stop_asked:
            self.reload_saved_code(line.removeprefix(SAVED).split(", "))

    def reload_saved_code(self, paths: list[str]) -> None:
        """Have every process but the broker and the watcher load its code anew."""
        for process in self.processes:
            if process.role.name not in ("broker", WATCHER):
                process.reload_code()
        if stale := [path for path in paths if path.startswith(LOADED_BEFORE)]:
            self.console.print_message(
                f"Ctrl-C and `make dev` again: {', '.join(stale)} was loaded before anything watched it."
            )

    def _supervise_once(self) -> None:
        super()._supervise_once()
        for process in self.processes:
            process.kill_if_late(hurry=False)
