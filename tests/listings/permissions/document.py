"""The table of permissions as SECURITY.md shows it: doors that answer alike share a line."""

from __future__ import annotations

import re
from pathlib import Path

from .addresses import list_doors
from .policy import PEOPLE, POLICY, STATES, depends_on_a_listing

DOCUMENT = Path(__file__).resolve().parents[3] / "SECURITY.md"
BEGIN, END = "<!-- table of permissions: python -m tests.listings.permissions -->", "<!-- end of the table -->"
ADMIN_PAGE = re.compile(r"^admin/([a-z]+/[a-z]+)/((?:<object_id>/)?\w*/?)$")
ROOM = {"rest": "REST", "page": "Pages", "admin": "Admin"}


def write_table(text: str) -> str:
    """The text with the table of now between its marks."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{describe_table()}\n{END}{rest.split(END)[1]}"


def describe_table() -> str:
    doors = [door for door in list_doors() if door in POLICY]
    parts = []
    for room, title in ROOM.items():
        head = ["", *PEOPLE.values()] if room == "admin" else ["", "listing", *PEOPLE.values()]
        lines = _describe_rows([door for door in doors if room_of(door) == room], states=room != "admin")
        parts.append(f"\n**{title}**\n\n| {' | '.join(head)} |\n{'|---' * len(head)}|\n" + "\n".join(lines) + "\n")
    return "".join(parts)


def room_of(door: str) -> str:
    verb, _, address = door.partition(" ")
    if verb == "ACTION" or address.startswith("admin/"):
        return "admin"
    return "rest" if address.startswith(("api/v1", "health", "metrics")) else "page"


def _describe_rows(doors: list[str], *, states: bool) -> list[str]:
    """A line for all doors whose cells are the same in the same states."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for door in doors:
        for cells, where in _merge_states(door).items():
            alike.setdefault((where, *cells) if states else cells, []).append(door)
    return [f"| {_name(doors)} | {' | '.join(cells)} |" for cells, doors in alike.items()]


def _merge_states(door: str) -> dict[tuple[str, ...], str]:
    """Cells → the states in which they hold."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for state in STATES if depends_on_a_listing(door) else STATES[:1]:
        rows.setdefault(tuple(str(POLICY[door](state, letter)) for letter in PEOPLE), []).append(state)
    return {cells: ", ".join(where) if depends_on_a_listing(door) else "" for cells, where in rows.items()}


def _name(doors: list[str]) -> str:
    """`GET, POST x/`, with all models of the admin that have the same page."""
    verbs: dict[str, list[str]] = {}
    for door in doors:
        verb, _, address = door.partition(" ")
        verbs.setdefault(address or "/", []).append(verb)
    pages: dict[tuple[str, str], list[str]] = {}
    for address, taken in verbs.items():
        page = ADMIN_PAGE.match(address)
        key, model = (f"admin/…/{page[2]}", page[1]) if page else (address, "")
        pages.setdefault((", ".join(taken), key), []).append(model)
    return "<br>".join(
        f"`{verbs.lower() if verbs == 'ACTION' else verbs} {key}`" + (f" of {', '.join(models)}" if models[0] else "")
        for (verbs, key), models in pages.items()
    )
