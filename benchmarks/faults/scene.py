"""The site that is under fire, with everything of it that can be taken away."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.servers.postgres import Postgres
from tests.servers.stack import UNTHROTTLED, Stack
from tests.servers.visitor import Visitor

from .clock import Clock
from .disks import Disks
from .notebook import Notebook
from .photos import draw_photo
from .savers import Numbers, PageSaver, RestSaver, Saver

PASSWORD = "only-under-fire"  # noqa: S105 - of sellers who exist for minutes
SELLERS = ("rest-one", "rest-two", "page")
MAKE_SELLERS = """
from django.contrib.auth.models import User
for name in {names!r}:
    User.objects.filter(username=name).exists() or User.objects.create_user(name, password={password!r})
"""


@dataclass
class Scene:
    """`postgres` is None where the database is SQLite or somebody else's server. Two listings stand there all the time:
    `anchor`, to look for others like it, and `changed`, whose price changes."""

    stack: Stack
    random: Random
    numbers: Numbers
    postgres: Postgres | None = None
    disks: Disks | None = None
    clock: Clock | None = None
    anchor: int = 0
    changed: int = 0
    changes: int = 0

    @property
    def is_sqlite(self) -> bool:
        return "DATABASE_URL" not in self.stack.environ

    def prepare(self) -> Scene:
        """Make sellers, and the two listings that stand; the site runs."""
        self.stack.run("manage.py", "shell", "-c", MAKE_SELLERS.format(names=SELLERS, password=PASSWORD))
        self.admin = self.stack.admin()
        self.anchor, self.changed = (self._publish(number) for number in (-1, -2))
        self.stack.wait_for(self._are_standing_listings_embedded, "the standing listings are embedded")
        self._visitors = [self._sign_in(name) for name in SELLERS]
        return self

    def make_savers(self, notebook: Notebook, answered: Counter[str]) -> list[Saver]:
        """Two clients over REST and one with the page's form."""
        kinds = (RestSaver, RestSaver, PageSaver)
        return [
            kind(visitor, notebook, self.numbers, answered) for kind, visitor in zip(kinds, self._visitors, strict=True)
        ]

    def _are_standing_listings_embedded(self) -> bool:
        paths = (f"/api/v1/listings/{listing}/similar/" for listing in (self.anchor, self.changed))
        return all(self.admin.get(path).status == 200 for path in paths)

    def _publish(self, number: int) -> int:
        listing = self.admin.post("/api/v1/listings/", {"title": "Standing", "price": "5"}).expect(201).json()["id"]
        name, content = draw_photo(number, 0)
        self.admin.post(f"/api/v1/listings/{listing}/images/", files=[("images", name, content)]).expect(201)
        return listing

    def _sign_in(self, name: str) -> Visitor:
        if name == "page":
            return self.stack.visitor().sign_in(name, PASSWORD, "/sign-in/")
        credentials = {"username": name, "password": PASSWORD}
        answer = self.stack.visitor().post("/api/v1/token/", credentials).expect(200)
        return self.stack.visitor(answer.json()["token"])


@contextmanager
def open_scene(seed: int, database_url: str = "", *, private_postgres: bool = False) -> Iterator[Scene]:
    """A running site in a folder of its own, on SQLite, on a server of its own, or in the database at the address."""
    with ExitStack() as undo:
        folder = Path(tempfile.mkdtemp(prefix="mp-fire-"))
        undo.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)  # a server that does not run as root reads the clock in it
        disks, clock = Disks(folder / "var", folder / "tmp"), Clock(folder)
        undo.callback(disks.unmount)
        disks.mount()
        (folder / "tmp").mkdir(exist_ok=True)
        postgres = _start_postgres(undo, clock) if private_postgres else None
        stack = Stack(
            folder / "var",
            database_url=postgres.url if postgres else database_url,
            environ={**UNTHROTTLED, "TMPDIR": str(folder / "tmp"), **clock.environ},
        )
        undo.callback(stack.stop)
        stack.start()
        yield Scene(stack, Random(seed), Numbers(seed), postgres, disks, clock).prepare()


def _start_postgres(undo: ExitStack, clock: Clock) -> Postgres:
    # What was committed outlives a crash of the server; without fsync not one of the machine, which nobody tries here.
    server = Postgres(options=("fsync=off", "synchronous_commit=on", "max_connections=200"), environ=clock.environ)
    undo.callback(server.stop)
    server.start()
    return server
