"""Every command, variable, path and health check of the container files refers to something that exists.

`tests/acceptance/test_compose_services.py` starts the commands; images are built by whoever has an engine.
"""

import importlib.util
import json
import re
import shlex
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands
from django.urls import resolve

from marketplace.serving import gunicorn
from marketplace.supervisor import roles, site
from tests.servers import compose

ROOT = compose.ROOT
APPLICATION = compose.application_services()
WORKERS = [name for name, service in APPLICATION.items() if "worker" in service["command"]]
SOURCES = "\n".join(
    path.read_text()
    for folder in ("marketplace", "listings", "recommender", "workers", "ml")
    for path in (ROOT / folder).rglob("*.py")
)
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def option(command, name):
    return next(part.split("=", 1)[1] for part in command if part.startswith(f"{name}="))


def runs(command):
    """Fail unless the first words of a command name something that this project can run."""
    match command:
        case ["python", "manage.py", name, *_]:
            assert (ROOT / "manage.py").exists()
            assert name in get_commands()
        case ["python", "-m", module, *_]:
            assert importlib.util.find_spec(module)
        case ["python", "-c", code]:
            compile(code, "<health check>", "exec")
        case _:
            pytest.fail(f"nobody knows how to run {command}")


def test_has_the_services_of_a_whole_site():
    assert set(compose.services()) == {
        "postgres", "redis", "prepare", "web", "embedding", "indexing", "default", "beat",
    }  # fmt: skip


@pytest.mark.parametrize("missing", compose.SECRETS)
def test_does_not_start_without_its_secrets(missing):
    values = {name: value for name, value in compose.SECRETS.items() if name != missing}
    with pytest.raises(KeyError, match=f"set {missing} in .env"):
        compose.load(values)


def test_the_example_holds_every_variable_and_no_other():
    assert set(compose.example()) == compose.variables()


def test_the_example_holds_no_secret():
    assert {name: compose.example()[name] for name in compose.SECRETS} == dict.fromkeys(compose.SECRETS, "")


def test_every_setting_has_a_default_but_the_secrets():
    compose.load(compose.SECRETS)


@pytest.mark.parametrize("name", APPLICATION)
class TestApplicationService:
    def test_runs_a_command_that_exists(self, name):
        runs(APPLICATION[name]["command"])

    def test_is_checked_by_something_that_exists(self, name):
        check = APPLICATION[name]["healthcheck"]
        if check.get("disable"):
            assert APPLICATION[name]["restart"] == "no", "only a service that ends needs no health check"
            return
        kind, *command = check["test"]
        if kind == "CMD":
            runs(command)
        for path in re.findall(r"127\.0\.0\.1:8001(/[\w/]+)", " ".join(command)):
            resolve(path)
        assert compose.seconds(check["timeout"]) < compose.seconds(check["interval"])

    def test_sets_only_variables_that_the_code_reads(self, name):
        for variable in APPLICATION[name]["environment"]:
            assert f'"{variable}"' in SOURCES, variable

    def test_may_not_take_the_whole_machine(self, name):
        number, unit = re.fullmatch(r"(\d+)([mg])", APPLICATION[name]["mem_limit"]).groups()
        least = {"web": 600 * int(APPLICATION["web"]["environment"]["WEB_PROCESSES"]), "embedding": 900}
        assert int(number) * (1024 if unit == "g" else 1) > least.get(name, 200)

    def test_names_module_and_application_that_exist(self, name):
        command = APPLICATION[name]["command"]
        if "celery" in command:
            assert importlib.util.find_spec(f"{command[command.index('-A') + 1]}.celery")
        if "gunicorn" in command:
            assert importlib.util.find_spec(command[command.index("-c") + 1].removeprefix("python:"))
            assert importlib.util.find_spec(command[-1])

    def test_mounts_the_places_where_settings_look(self, name):
        mounted = {volume.split(":")[1] for volume in APPLICATION[name]["volumes"]}
        expected = {
            str(Path("/var/lib/marketplace") / Path(place).relative_to(settings.VAR_DIR))
            for place in (
                settings.MEDIA_ROOT,
                settings.ORIGINALS_ROOT,
                settings.MODELS_ROOT,
                settings.INDEX_ROOT,
                settings.STATIC_ROOT,
                settings.EMBEDDER_CACHE.parent,
            )
        }
        assert mounted == expected
        assert APPLICATION[name]["environment"]["VAR_DIR"] == "/var/lib/marketplace"

    def test_waits_for_services_that_exist_and_report_their_health(self, name):
        services = compose.services()
        for other, condition in APPLICATION[name]["depends_on"].items():
            if condition["condition"] == "service_healthy":
                assert "test" in services[other]["healthcheck"]
            else:
                assert services[other]["restart"] == "no"


def test_every_volume_is_declared_and_used():
    used = {volume.split(":")[0] for service in compose.services().values() for volume in service.get("volumes", [])}
    assert used == set(compose.load(compose.SECRETS)["volumes"])


def test_every_queue_has_one_worker_service():
    queues = {route["queue"] for route in settings.CELERY_TASK_ROUTES.values()} | {settings.CELERY_TASK_DEFAULT_QUEUE}
    assert {option(APPLICATION[name]["command"], "--queues") for name in WORKERS} == queues
    assert len(WORKERS) == len(queues)


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_may_finish_its_slice_before_it_is_killed(name):
    grace = compose.seconds(APPLICATION[name]["stop_grace_period"])
    assert grace > float(APPLICATION[name]["environment"]["WORKER_STOP_GRACE_SECONDS"]) > settings.EMBED_SLICE_SECONDS


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_is_checked_by_the_heartbeat_of_its_own_kind(name):
    kind = option(APPLICATION[name]["command"], "--queues")
    assert APPLICATION[name]["healthcheck"]["test"][-2:] == ["alive", kind]


def test_the_web_may_finish_its_requests_before_it_is_killed():
    assert compose.seconds(APPLICATION["web"]["stop_grace_period"]) > gunicorn.graceful_timeout


def test_web_processes_give_memory_back_as_under_make_run():
    environment = APPLICATION["web"]["environment"]
    assert environment.items() >= site.LARGE_PIECES.items()
    assert roles.web_role().environ.items() >= site.LARGE_PIECES.items()


def test_only_the_worker_without_models_forks():
    pools = {name: option(APPLICATION[name]["command"], "--pool") for name in WORKERS}
    assert pools == {"embedding": "solo", "indexing": "solo", "default": "prefork"}


def test_the_site_is_published_on_loopback_unless_told_otherwise():
    assert APPLICATION["web"]["ports"] == ["127.0.0.1:8000:8000"]
    assert APPLICATION["web"]["environment"]["BIND"].endswith(":8000")


def test_the_door_of_health_is_not_published():
    bind = APPLICATION["web"]["environment"]["HEALTH_BIND"]
    assert bind.endswith(":8001")
    assert not any(part.endswith(":8001") for part in APPLICATION["web"]["ports"])


def test_the_broker_evicts_nothing():
    command = compose.services()["redis"]["command"]
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"


class TestImage:
    def test_copies_what_exists_and_everything_that_is_imported(self):
        copied = [line.split()[1:-1] for line in DOCKERFILE.splitlines() if re.match(r"COPY (?!--from)", line)]
        sources = {source for sources in copied for source in sources}
        assert all((ROOT / source).exists() for source in sources)
        assert {"marketplace", "listings", "recommender", "workers", "ml", "manage.py"} <= sources

    def test_the_build_context_holds_what_is_copied_and_nothing_else_of_ours(self):
        ignored = (ROOT / ".dockerignore").read_text().splitlines()
        kept = {line[1:] for line in ignored if line.startswith("!")}
        copied = {
            source
            for line in DOCKERFILE.splitlines()
            if re.match(r"COPY (?!--from)", line)
            for source in line.split()[1:-1]
        }
        assert "*" in ignored
        assert kept == copied

    def test_runs_as_a_user_without_rights(self):
        assert re.search(r"^USER marketplace$", DOCKERFILE, re.MULTILINE)
        assert DOCKERFILE.index("USER marketplace") < DOCKERFILE.index("\nCMD")

    def test_installs_what_has_no_hashes_from_the_pins(self):
        pins = (ROOT / "requirements.txt").read_text().splitlines()
        patterns = re.findall(r"grep -E '([^']+)'", DOCKERFILE)
        names = {line.split("==")[0] for line in pins for pattern in patterns if re.match(pattern, line)}
        assert names == {"torch", "torchvision", "pytorch-metric-learning"}

    def test_starts_and_checks_something_that_exists(self):
        commands = [json.loads(part) for part in re.findall(r"CMD (\[.*\])", DOCKERFILE)]
        assert len(commands) == 2
        for command in commands:
            runs(command)
        for path in re.findall(r"127\.0\.0\.1:8001(/[\w/]+)", DOCKERFILE):
            resolve(path)

    def test_makes_the_directories_that_are_mounted(self):
        made = set(re.search(r"for directory in ([\w ]+);", DOCKERFILE)[1].split())
        mounted = {Path(volume.split(":")[1]).name for volume in APPLICATION["web"]["volumes"]}
        assert made == mounted

    def test_sets_only_variables_that_something_reads(self):
        joined = DOCKERFILE.replace("\\\n", " ")
        words = [word for line in joined.splitlines() if line.startswith("ENV ") for word in shlex.split(line)[1:]]
        read_elsewhere = {"PATH", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "DJANGO_SETTINGS_MODULE"}
        for name in (word.split("=")[0] for word in words):
            assert f'"{name}"' in SOURCES or name in read_elsewhere or name.startswith(("PYTHON", "PIP_")), name
