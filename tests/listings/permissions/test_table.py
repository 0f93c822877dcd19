"""The whole table of permissions, asked for by requests: every door, by every person, on a listing in every state."""

from __future__ import annotations

import logging
import re

import pytest
from django.db import connection

from .addresses import list_doors, list_verbs
from .document import DOCUMENT, room_of, write_table
from .policy import PEOPLE, POLICY, STATES, depends_on_a_listing
from .stage import Stage

HERE = "tests/listings/permissions/policy.py"


def part_of(door: str) -> str:
    """The room of a door; in the admin also its model."""
    page = re.search(r"admin/([a-z]+/[a-z]+)/|ACTION ([a-z]+\.[a-z]+)", door)
    return f"admin {(page[1] or page[2]).replace('/', '.')}" if page else room_of(door)


@pytest.fixture
def cheap_requests(settings):
    """Without what costs more than a permission: lines of the log, and a slow hash for each password."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def test_every_door_has_a_row():
    missing, gone = {*list_doors()} - {*POLICY}, {*POLICY} - {*list_doors()}
    assert not missing, f"Nobody said who may do this. Add to POLICY in {HERE}: {sorted(missing)}"
    assert not gone, f"These exist no more. Take them out of POLICY in {HERE}: {sorted(gone)}"


def test_a_new_page_of_the_admin_needs_a_row_for_its_form_too():
    assert list_verbs("admin/listings/listing/<pk>/promote/", Stage) == ["GET", "POST"]


def test_the_document_holds_the_table():
    text = DOCUMENT.read_text()
    assert write_table(text) == text, "Run `.venv/bin/python -m tests.listings.permissions`."


# The admin holds most doors, so its models share them out among the processes that test.
PARTS = {part_of(door) for door in list_doors()}


@pytest.mark.django_db
@pytest.mark.parametrize("part", sorted(PARTS))
@pytest.mark.usefixtures("cheap_requests")
def test_every_person_is_answered_at_every_door_as_the_table_says(part, broker):
    if part != "rest" and connection.vendor == "postgresql":
        pytest.skip("Pages ask the same questions on either database, and are asked for on SQLite.")
    stage, wrong = Stage(), []
    for door in [door for door in list_doors() if door in POLICY and part_of(door) == part]:
        broker.flushall()  # rates are no part of the table
        for state in STATES if depends_on_a_listing(door) else STATES[:1]:
            for letter, person in PEOPLE.items():
                got, trespasses = stage.ask(door, state, letter)
                if got != (says := POLICY[door](state, letter)):
                    wrong.append(f"{door} ({state}): {person} gets {got}, and {HERE} says {says}")
                wrong += [f"{door} ({state}): {person} {trespass}" for trespass in trespasses]
    assert not wrong, "\n".join(["", *wrong])
