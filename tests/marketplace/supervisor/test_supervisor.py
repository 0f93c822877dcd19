"""Decisions of the supervisor, and what it does with real children, without starting the site itself."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from marketplace.paths import broker_socket_path, health_socket_path, private_broker_url
from marketplace.supervisor import roles
from marketplace.supervisor.console import Console, format_welcome
from marketplace.supervisor.errors import CannotStart
from marketplace.supervisor.home import Home
from marketplace.supervisor.probe import fetch_readiness_status, is_broker_reachable, refuse_port_in_use
from marketplace.supervisor.process import Process, restart_delay
from marketplace.supervisor.roles import Role
from marketplace.supervisor.site import Site
from marketplace.supervisor.supervisor import Supervisor
from tests.servers.stack import alive, free_port

ROOT = Path(__file__).resolve().parents[3]


def site(**environ):
    return Site.from_environment({key: str(value) for key, value in environ.items()})


def shell(script, grace=5.0):
    return Process(Role("child", ("sh", "-c", script), grace=grace), dict(os.environ))


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_site_that_is_not_ready_is_not_asked_again_at_each_line_of_its_log(tmp_path, monkeypatch):
    asked: list[object] = []
    waiting = Supervisor(site(VAR_DIR=tmp_path), Console(io.StringIO()))
    deadline = time.monotonic() + 1.2

    def relay_a_line_at_once():
        if time.monotonic() > deadline:
            waiting._stop_asked = time.monotonic()

    monkeypatch.setattr("marketplace.supervisor.supervisor.fetch_readiness_status", asked.append)
    monkeypatch.setattr(waiting, "_supervise_once", relay_a_line_at_once)
    waiting._wait_until_ready_and_print_welcome()
    assert 2 <= len(asked) <= 4


class TestSite:
    def test_needs_nothing_from_the_environment(self):
        chosen = site()
        assert (chosen.port, chosen.web_processes, chosen.embedding_processes) == (8000, 2, 1)
        assert chosen.var == ROOT / "var"
        assert chosen.runs_own_broker

    @pytest.mark.parametrize("name", ["PORT", "WEB_PROCESSES", "EMBEDDING_PROCESSES", "WORKER_STOP_GRACE_SECONDS"])
    @pytest.mark.parametrize("value", ["0", "-1", "many", "1.5", "99999"])
    def test_refuses_a_number_that_makes_no_sense_and_names_it(self, name, value):
        with pytest.raises(CannotStart, match=f"{name} is '{value}'"):
            site(**{name: value})

    def test_draws_a_demo_of_the_size_asked_for_or_none(self):
        assert (site().demo, site(DEMO=0).demo, site(DEMO=24).demo) == (208, 0, 24)
        with pytest.raises(CannotStart, match="DEMO is 'yes'; it must be a whole number from 0 to 100000"):
            site(DEMO="yes")

    def test_gives_children_the_weights_that_were_chosen_and_else_leaves_them_to_the_settings(self):
        assert "EMBEDDER_WEIGHTS" not in site().child_environment()
        assert site(EMBEDDER_WEIGHTS="imagenet").child_environment()["EMBEDDER_WEIGHTS"] == "imagenet"

    def test_points_children_at_the_private_broker_unless_there_is_another(self, tmp_path):
        assert site(VAR_DIR=tmp_path).child_environment()["REDIS_URL"] == private_broker_url(tmp_path)
        assert site(REDIS_URL="redis://r:1").child_environment()["REDIS_URL"] == "redis://r:1"

    @pytest.mark.parametrize("given", [{}, {"HEALTH_BIND": ""}])
    def test_has_a_door_for_health_because_nothing_else_says_when_it_is_ready(self, tmp_path, given):
        bind = site(VAR_DIR=tmp_path, **given).child_environment()["HEALTH_BIND"]
        assert bind == f"unix:{health_socket_path(tmp_path)}"

    def test_makes_a_relative_var_absolute_for_children_that_run_elsewhere(self):
        assert Path(site(VAR_DIR="elsewhere").child_environment()["VAR_DIR"]).is_absolute()


class TestRoles:
    def test_are_web_one_worker_a_queue_and_beat(self):
        assert [role.name for role in roles.list_services(site())] == [
            "web",
            "embedding-1",
            "indexing",
            "default",
            "beat",
        ]

    def test_embedding_scales_by_processes(self):
        names = [role.name for role in roles.list_services(site(EMBEDDING_PROCESSES=3))]
        assert names[1:4] == ["embedding-1", "embedding-2", "embedding-3"]

    @pytest.mark.parametrize(
        ("name", "pool"), [("embedding-1", "--pool=solo"), ("indexing", "--pool=solo"), ("default", "--pool=prefork")]
    )
    def test_only_the_worker_without_models_forks(self, name, pool):
        (role,) = [role for role in roles.list_services(site()) if role.name == name]
        assert pool in role.command

    def test_services_run_numeric_libraries_on_one_thread(self):
        assert {role.environ["OMP_NUM_THREADS"] for role in roles.list_services(site())} == {"1"}

    def test_a_worker_may_finish_its_slice_before_it_is_killed(self):
        graces = {role.name: role.grace for role in roles.list_services(site(WORKER_STOP_GRACE_SECONDS=42))}
        assert graces["embedding-1"] == graces["indexing"] == 42


class TestHome:
    def test_is_private_and_refuses_a_second_supervisor(self, tmp_path):
        home = Home(tmp_path / "var")
        with home.hold_lock():
            assert oct((tmp_path / "var").stat().st_mode & 0o777) == oct((home.run).stat().st_mode & 0o777) == "0o700"
            with pytest.raises(CannotStart, match=f"process {os.getpid()} already runs on"), Home(home.var).hold_lock():
                pass

    def test_is_free_again_afterwards(self, tmp_path):
        for _ in range(2):
            with Home(tmp_path).hold_lock():
                pass

    def test_keeps_the_secret_key_it_made_to_its_owner(self, tmp_path):
        home = Home(tmp_path)
        home.ensure_secret_key()
        key = (tmp_path / "secret-key").read_text()
        home.ensure_secret_key()
        assert (tmp_path / "secret-key").read_text() == key
        assert len(key) > 50
        assert oct((tmp_path / "secret-key").stat().st_mode & 0o777) == "0o600"

    def test_a_path_too_long_for_a_socket_gets_a_short_stand_in(self, tmp_path):
        deep = tmp_path / ("d" * 90)
        assert broker_socket_path(tmp_path).parent == tmp_path / "run"
        assert len(str(broker_socket_path(deep))) < 100
        assert broker_socket_path(deep) != broker_socket_path(deep / "other")

    def test_a_demo_is_wanted_once(self, tmp_path):
        home = Home(tmp_path)
        assert not home.is_demo_wanted()
        (tmp_path / "demo").write_text("wanted\n")
        assert home.is_demo_wanted()
        home.mark_demo_done()
        assert not home.is_demo_wanted()


class TestProbes:
    def test_a_port_in_use_is_one_sentence_with_a_way_out(self):
        import socket

        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(CannotStart, match=rf"port {port} .* PORT={port + 1} make run"):
                refuse_port_in_use(port)
        refuse_port_in_use(port)

    def test_nothing_answers_where_nothing_runs(self, tmp_path):
        assert fetch_readiness_status(f"127.0.0.1:{free_port()}") is None
        assert not is_broker_reachable(tmp_path / "none")

    def test_the_broker_answers(self, valkey):
        assert is_broker_reachable(valkey.socket)


class TestProcess:
    @pytest.mark.parametrize(("deaths", "seconds"), [(1, 0.5), (2, 1), (3, 2), (6, 16), (7, 30), (50, 30)])
    def test_starts_again_later_and_later(self, deaths, seconds):
        assert restart_delay(deaths) == seconds

    def test_what_ran_for_longer_than_its_pause_starts_again_at_once(self, monkeypatch):
        process, clock = shell("exit 1"), [time.monotonic()]
        monkeypatch.setattr(time, "monotonic", lambda: clock[0])
        for lived, pause in ((0.2, 0.3), (0.2, 0.8), (3, 0), (20, 0), (0.2, 0.8)):
            process.start()
            clock[0] += lived
            process.schedule_restart()
            assert process.restart_at - clock[0] == pytest.approx(pause)
            clock[0] += pause

    def test_says_whole_lines_and_how_it_ended(self):
        process = shell("echo one; echo two >&2; printf 'half'; exit 3")
        process.start()
        until(lambda: process.poll_exit_and_kill_group() is not None)
        assert process.read_lines() == ["one", "two"]
        assert process.poll_exit_and_kill_group() == 3
        process.schedule_restart()
        assert process.pid is None
        assert process.deaths == 1

    def test_takes_its_grandchildren_along(self):
        process = shell("sleep 300 & echo $!; exit 0")
        process.start()
        until(lambda: process.poll_exit_and_kill_group() is not None)
        grandchild = int(process.read_lines()[0])
        until(lambda: not alive(grandchild))

    def test_is_killed_when_it_will_not_stop(self):
        process = shell("trap '' TERM; echo deaf; while :; do sleep 0.1; done", grace=0.3)
        process.start()
        until(lambda: process.read_lines() == ["deaf"])
        process.stop()
        process.kill_if_late(hurry=False)
        time.sleep(0.1)
        assert process.poll_exit_and_kill_group() is None
        until(lambda: process.kill_if_late(hurry=False) or process.poll_exit_and_kill_group() is not None)
        assert process.poll_exit_and_kill_group() == -signal.SIGKILL

    def test_a_stopped_one_is_woken_to_stop(self):
        process = shell("trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done")
        process.start()
        until(lambda: process.read_lines() == ["up"])
        os.kill(process.pid, signal.SIGSTOP)
        process.stop()
        until(lambda: process.poll_exit_and_kill_group() is not None)
        assert process.poll_exit_and_kill_group() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel does this on Linux only")
def test_children_die_with_a_supervisor_that_was_killed():
    script = (
        "import os, time\n"
        "from marketplace.supervisor.process import Process\n"
        "from marketplace.supervisor.roles import Role\n"
        "child = Process(Role('c', ('sleep', '300')), dict(os.environ)); child.start()\n"
        "print(child.pid, flush=True); time.sleep(300)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    assert alive(child)
    parent.kill()
    parent.wait()
    until(lambda: not alive(child))
    parent.stdout.close()


def test_a_start_that_cannot_work_is_one_sentence_and_status_1(tmp_path):
    environ = {**os.environ, "PORT": "none", "VAR_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "marketplace.supervisor"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "Cannot start: PORT is 'none'; it must be a whole number from 1 to 65535.\n"


def test_importing_the_supervisor_needs_no_settings():
    environ = {key: value for key, value in os.environ.items() if key not in ("SECRET_KEY", "DJANGO_SETTINGS_MODULE")}
    script = (
        "import marketplace.supervisor.supervisor, sys\n"
        "from django.conf import settings\n"
        "assert not settings.configured and 'django.db' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env={**environ, "VAR_DIR": "/nowhere"}, check=True)


def test_lines_are_prefixed_with_who_said_them():
    stream = io.StringIO()
    Console(stream).print_line("web", "hello")
    assert stream.getvalue() == "web        │ hello\n"


def test_the_welcome_names_what_to_open_and_where_the_password_is(tmp_path):
    (tmp_path / "admin-password").touch()
    text = "\n".join(format_welcome(site(PORT=8123), tmp_path / "admin-password"))
    for part in ("http://127.0.0.1:8123/", "/admin/", "/api/docs/", str(tmp_path / "admin-password")):
        assert part in text
    assert "with the password you gave" in "\n".join(format_welcome(site(), tmp_path / "absent"))
