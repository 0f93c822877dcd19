"""`make dev`: what it changes about the site, what loads code anew, and that the site itself knows nothing of it."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from marketplace.supervisor import roles
from marketplace.supervisor.console import Console
from marketplace.supervisor.development import LOADED_BEFORE, DevelopmentSupervisor, development_environment
from marketplace.supervisor.process import LONGEST_DELAY, Process
from marketplace.supervisor.roles import Role
from marketplace.supervisor.site import ROOT, Site
from marketplace.supervisor.watcher import format_saved_line

from .test_supervisor import until

SETTINGS = "marketplace.settings.development"


def python(script, **environ):
    environ = {**os.environ, "DJANGO_SETTINGS_MODULE": SETTINGS, **environ}
    return subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )


class TestSettings:
    def test_the_site_itself_has_no_debug_and_loads_nothing_of_development(self):
        done = python(
            "import sys, marketplace.wsgi, marketplace.supervisor.supervisor\n"
            "from django.conf import settings\n"
            "print(settings.DEBUG, *{'debug_toolbar', 'watchfiles'} & set(sys.modules))",
            DJANGO_SETTINGS_MODULE="marketplace.settings",
        )
        assert done.stdout == "False\n", done.stderr

    def test_an_address_that_others_reach_is_refused(self):
        done = python("from django.conf import settings; settings.DEBUG", BIND="0.0.0.0:8000")
        assert "BIND is '0.0.0.0:8000'; with DEBUG the site listens on 127.0.0.1 alone" in done.stderr

    def test_the_toolbar_is_shown_to_this_machine_alone_and_pages_keep_their_policy(self):
        done = python(
            "import django; django.setup()\n"
            "from django.test import Client\n"
            "for address in ('127.0.0.1', '192.0.2.7'):\n"
            "    answer = Client(SERVER_NAME='localhost', REMOTE_ADDR=address).get('/api/docs/')\n"
            "    print('djDebug' in answer.content.decode(), 'script-src' in answer['Content-Security-Policy'])\n"
        )
        assert done.stdout == "True False\nFalse False\n", done.stderr

    def test_an_error_page_may_run_the_scripts_it_carries(self):
        done = python(
            "import django; django.setup()\n"
            "from django.test import Client\n"
            "answer = Client(SERVER_NAME='localhost').get('/nowhere')\n"
            "print(answer.status_code, \"script-src 'self' 'unsafe-inline'\" in answer['Content-Security-Policy'])\n"
        )
        assert done.stdout == "404 True\n", done.stderr


class TestEnvironment:
    def test_what_the_caller_set_wins_but_not_over_debug(self):
        chosen = development_environment({"WEB_PROCESSES": "3", "DJANGO_SETTINGS_MODULE": "marketplace.settings"})
        assert (chosen["WEB_PROCESSES"], chosen["DJANGO_SETTINGS_MODULE"]) == ("3", SETTINGS)

    def test_a_site_of_it_is_that_of_make_run_and_a_watcher(self, tmp_path):
        site = Site.from_environment(development_environment({"VAR_DIR": str(tmp_path)}))
        names = [role.name for role in DevelopmentSupervisor(site, Console(io.StringIO())).list_services()]
        assert names == [*(role.name for role in roles.list_services(site)), "reload"]
        assert site.runs_own_broker


class TestReload:
    @pytest.fixture
    def said(self):
        return io.StringIO()

    @pytest.fixture
    def supervisor(self, tmp_path, said):
        site = Site.from_environment(development_environment({"VAR_DIR": str(tmp_path)}))
        return DevelopmentSupervisor(site, Console(said))

    def test_a_saved_file_restarts_all_but_the_broker_and_the_watcher(self, supervisor, said, monkeypatch):
        restarted = []
        monkeypatch.setattr(Process, "reload_code", lambda process: restarted.append(process.role.name))
        processes = [Process(Role(name, ("true",)), {}) for name in ("broker", "web", "indexing", "reload")]
        supervisor.processes.extend(processes)
        supervisor.handle_line(processes[-1], "Traceback (most recent call last):")
        assert restarted == []
        supervisor.handle_line(processes[-1], format_saved_line([f"{ROOT}/ml/b.py", f"{ROOT}/listings/a.py"]))
        assert restarted == ["web", "indexing"]
        assert said.getvalue().endswith("saved: listings/a.py, ml/b.py\n")

    def test_what_only_another_start_can_load_is_said(self, supervisor, said):
        supervisor.reload_saved_code(["marketplace/supervisor/site.py", "listings/models.py"])
        assert "Ctrl-C and `make dev` again: marketplace/supervisor/site.py was loaded" in said.getvalue()

    def test_all_that_a_supervisor_has_loaded_counts_as_such(self):
        done = python(
            "import sys, marketplace.supervisor.development\n"
            f"for module in list(sys.modules.values()):\n"
            f"    if (getattr(module, '__file__', None) or '').startswith('{ROOT}/'):\n"
            f"        print(module.__file__.removeprefix('{ROOT}/'))"
        )
        loaded = [path for path in done.stdout.splitlines() if not path.startswith(".venv/")]
        assert "ml/atomic_files.py" in loaded
        assert [path for path in loaded if not path.startswith(LOADED_BEFORE)] == []


class TestRestart:
    def child(self, script, **options):
        process = Process(Role("child", ("sh", "-c", script), **options), dict(os.environ))
        process.start()
        return process

    def test_a_child_ends_and_is_due_at_once(self):
        process = self.child("trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done")
        until(lambda: process.read_lines() == ["up"])
        process.reload_code()
        until(lambda: process.poll_exit_and_kill_group() is not None)
        assert process.is_planned_exit
        process.schedule_restart()
        process.start()
        assert not process.is_planned_exit
        process.kill_if_late(hurry=True)

    def test_a_child_that_can_reload_goes_on(self):
        script = "trap 'echo again' HUP; echo up; while :; do sleep 0.05; done"
        process = self.child(script, reload_signal=signal.SIGHUP)
        until(lambda: process.read_lines() == ["up"])
        process.reload_code()
        until(lambda: process.read_lines() == ["again"])
        assert process.poll_exit_and_kill_group() is None
        process.kill_if_late(hurry=True)

    def test_a_signal_that_comes_before_the_child_knows_it_is_a_restart_too(self):
        process = self.child("sleep 300", reload_signal=signal.SIGHUP)
        process.reload_code()
        until(lambda: process.poll_exit_and_kill_group() is not None)
        assert process.is_planned_exit

    def test_what_died_of_the_code_waits_for_the_next_change_and_starts_at_once_with_it(self):
        process = self.child("exit 1")
        until(lambda: process.poll_exit_and_kill_group() is not None)
        process.schedule_restart()
        process.reload_code()
        assert process.restart_at == 0
        process.start()
        until(lambda: process.poll_exit_and_kill_group() is not None)
        process.schedule_restart()
        assert process.restart_at > time.monotonic() + LONGEST_DELAY / 2


def test_the_watcher_names_each_file_once_below_the_project():
    assert format_saved_line([f"{ROOT}/ml/errors.py"] * 2) == "saved: ml/errors.py"
    assert Path(ROOT / "ml" / "errors.py").exists()
