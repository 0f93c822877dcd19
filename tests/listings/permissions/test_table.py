"""The whole table of permissions, asked for by requests: every door, by every person, on a listing in every state."""

from __future__ import annotations

import logging

import pytest
from django.db import connection

from .addresses import list_doors
from .document import DOCUMENT, ROOM, room_of, write_table
from .policy import PEOPLE, POLICY, STATES, depends_on_a_listing
from .stage import Stage

HERE = "tests/listings/permissions/policy.py"


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


def test_the_document_holds_the_table():
    text = DOCUMENT.read_text()
    assert write_table(text) == text, "Run `.venv/bin/python -m tests.listings.permissions`."


@pytest.mark.django_db
@pytest.mark.parametrize("room", ROOM)
@pytest.mark.usefixtures("cheap_requests")
def test_every_person_is_answered_at_every_door_as_the_table_says(room, broker):
    if room != "rest" and connection.vendor == "postgresql":
        pytest.skip("Pages ask the same questions on either database, and are asked for on SQLite.")
    stage, wrong = Stage(), []
    for door in [door for door in list_doors() if door in POLICY and room_of(door) == room]:
        broker.flushall()  # rates are no part of the table
        for state in STATES if depends_on_a_listing(door) else STATES[:1]:
            for letter, person in PEOPLE.items():
                got, trespasses = stage.ask(door, state, letter)
                if got != (says := POLICY[door](state, letter)):
                    wrong.append(f"{door} ({state}): {person} gets {got}, and {HERE} says {says}")
                wrong += [f"{door} ({state}): {person} {trespass}" for trespass in trespasses]
    assert not wrong, "\n".join(["", *wrong])
