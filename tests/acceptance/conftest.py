"""Sites for acceptance tests: one is prepared, every other starts on a copy of it, which takes seconds."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from marketplace.supervisor.home import Home
from tests.built_models import share, starter_model_dir
from tests.servers.postgres import Postgres
from tests.servers.postgres import postgres as private_postgres
from tests.servers.stack import Stack, copy_code

_number = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.acceptance)


@pytest.fixture(scope="session")
def short_tmp() -> Iterator[Path]:
    """A directory whose path leaves room for socket names."""
    with tempfile.TemporaryDirectory(prefix="mp-acc-") as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def prepared_var(short_tmp: Path) -> Path:
    """The `var/` of a site that was prepared and never started: SQLite, the starter model, no listings."""
    template = Stack(short_tmp / "template")
    home = Home(template.var)
    with home.hold_lock():
        home.ensure_secret_key()
        shutil.copytree(starter_model_dir(), template.var / "models" / "starter")
        template.manage("prepare")
    return template.var


def copy(prepared: Path, below: Path) -> Path:
    """A `var/` of its own, as the prepared site left it."""
    var = Path(tempfile.mkdtemp(prefix="site-", dir=below)) / "var"
    return shutil.copytree(prepared, var, ignore=shutil.ignore_patterns("run"), copy_function=link_weights)


def link_weights(source: str, target: str) -> str:
    """Copy a file, but share the 50 MB of a model's directory, which nothing rewrites."""
    if "models" in Path(source).parts:
        return share(source, target)
    return shutil.copy2(source, target)


@pytest.fixture
def new_stack(short_tmp: Path, prepared_var: Path):
    """Makes sites (the arguments of `Stack`), not started yet; all are stopped after the test."""
    made: list[Stack] = []

    def make(**options) -> Stack:
        var = copy(prepared_var, short_tmp)
        if "database_url" in options:
            (var / "db.sqlite3").unlink()
        stack = Stack(var, **options)
        made.append(stack)
        return stack

    yield make
    for stack in made:
        stack.stop()


@pytest.fixture(scope="module")
def stack(short_tmp: Path, prepared_var: Path) -> Iterator[Stack]:
    """One running site for the tests of a module; they may add to it but leave it running and healthy. Its code and
    data lie in a folder whose name means something to addresses, shells, patterns and formats."""
    code = copy_code(short_tmp / "My Sité (1) 100% #2?")
    with Stack(copy(prepared_var, code), root=code) as running:
        yield running


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    with private_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> str:
    """An empty PostgreSQL database of this test's own."""
    name = f"site{next(_number)}"
    postgres_server.create(name)
    return postgres_server.database_url(name)
