"""People, listings in every state, and a request by each person at each door, after which everything is as before."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from typing import Any

from axes.models import AccessAttempt
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from listings.models import AccessToken, Listing
from recommender.models import Embedding, EmbeddingModel, Heartbeat, IndexHead, IndexSnapshot, RankerVersion
from recommender.registry.evaluation import reports_folder
from tests.factories import draw_photo, make_category, make_listing, make_ready_image, make_user
from tests.recommender.registered import EVALUATION

from .policy import EXACT_PLACE, NOTHING, PEOPLE, SEES, SIGN_IN, STATES, Cell

ROOMS = ("listings", "recommender")
NAME, PASSWORD = "tom", "correct horse"
# As another machine, because this one may see more of health.
ELSEWHERE = "198.51.100.7"
EXACT = "53.79971234"
WRITE = re.compile(r'^(INSERT INTO|UPDATE|DELETE FROM) "(listings|recommender|auth|axes)_')
SIGN_IN_PAGES = ("/sign-in/", "/admin/login/")
# No photo, model or index is there to answer with; who may not ask hears of that first.
UNREADY = {409: 200, 503: 200}
PHOTO = draw_photo(1)


class Stage:
    """Made once; each request is rolled back."""

    def __init__(self) -> None:
        self.people = {letter: _make_person(letter) for letter in PEOPLE}
        self.clients = {letter: _sign_in(person) for letter, person in self.people.items()}
        self.cookies = {letter: client.cookies.output(header="") for letter, client in self.clients.items()}
        make_user(NAME, password=PASSWORD)
        place = {"latitude": float(EXACT), "longitude": -1.54921234, "category": make_category("Home")}
        self.listings = {
            state: make_listing(self.people["S"], status=state, title=title_of(state), **place) for state in STATES
        }
        self.images = {state: make_ready_image(listing) for state, listing in self.listings.items()}
        make_listing(self.people["O"], title="Somebody else's")
        self.rows = self._make_rows_of_the_admin()

    def _make_rows_of_the_admin(self) -> dict[str, Any]:
        model = EmbeddingModel.objects.create(version="of-the-table", dim=4, checkpoint="of-the-table")
        folder = reports_folder(model)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / EVALUATION["report"]).write_text("figures")
        image = self.images["removed"]
        return {
            "listings/category": make_category("Empty"),
            "listings/listing": self.listings["removed"],
            "listings/listingimage": image,
            "recommender/embeddingmodel": model,
            "recommender/embedding": Embedding.objects.create(image=image, model=model),
            "recommender/indexsnapshot": IndexSnapshot.objects.create(model=model, directory="d", position="0"),
            "recommender/indexhead": IndexHead.load(),
            "recommender/heartbeat": Heartbeat.objects.create(name="a", kind="embedding", seen_at=timezone.now()),
            "recommender/rankerversion": RankerVersion.objects.create(name="other", weights={"similarity": 1.0}),
            "auth/group": Group.objects.create(name="Moderators"),
            "auth/user": make_user("nobody-in-particular"),
            "axes/accessattempt": AccessAttempt.objects.create(username="x", failures_since_start=1),
            "listings/accesstoken": AccessToken.objects.create(digest="d", beginning="b", user=self.people["S"]),
        }

    def ask(self, door: str, state: str, letter: str) -> tuple[Cell, list[str]]:
        """What this person is answered, and what the answer or the request did that the person has no right to."""
        client = self.clients[letter]
        client.cookies = SimpleCookie(self.cookies[letter])
        with _rolled_back(), _watched_writes() as writes:
            response = self._send(client, door, state)
            body = b"".join(response.streaming_content) if response.streaming else response.content
        cell = _cell_of(door, response, writes)
        trespasses = list(_find_secrets(body.decode(errors="ignore"), letter))
        # To count a try to log in is no part of what was asked for.
        done = [sql for sql in writes if '"axes_' not in sql]
        if cell in {SIGN_IN, NOTHING, 403, 404} and done:
            trespasses.append(f"is refused, and writes: {done[0][:80]}")
        return cell, trespasses

    def _send(self, client: Client, door: str, state: str) -> Any:
        verb, _, address = door.partition(" ")
        if verb == "ACTION":
            return self._send_action(client, *address.split(" "))
        path = "/" + re.sub(r"<(\w+)>", lambda found: str(self._value(found[1], address, state)), address)
        if address.startswith("admin/autocomplete"):
            path += "?app_label=listings&model_name=listing&field_name=category"
        data = BODIES[door]() if door in BODIES else {"post": "yes"} if address.endswith("/delete/") else {}
        is_json = door.startswith(("POST api", "PATCH api")) and not any(hasattr(one, "read") for one in data.values())
        how = {"content_type": "application/json"} if is_json or verb in {"PUT", "DELETE"} else {}
        return getattr(client, verb.lower())(path, data, REMOTE_ADDR=ELSEWHERE, **how)

    def _send_action(self, client: Client, label: str, name: str) -> Any:
        model = label.replace(".", "/")
        chosen = {"action": name, "_selected_action": [self._chosen(model).pk], "index": 0, "post": "yes"}
        return client.post(f"/admin/{model}/", chosen, REMOTE_ADDR=ELSEWHERE)

    def _chosen(self, model: str) -> Any:
        """A row that every action changes."""
        return self.listings["draft"] if model == "listings/listing" else self.rows[model]

    def _value(self, name: str, address: str, state: str) -> object:
        listing, image = self.listings[state], self.images[state]
        page = "/".join(address.split("/")[1:3])
        values = {
            "listing_id": listing.pk,
            "image_id": image.pk,
            "token_id": self.rows["listings/accesstoken"].pk,
            "content_type_id": ContentType.objects.get_for_model(Listing).pk,
            "app_label": "listings",
            "url": "nowhere/",
            "name": EVALUATION["report"] if "reports" in address else "backfill",
        }
        if address.startswith("media/"):
            return image.clean_file.name
        return values[name] if name in values else self.rows.get(page, self.listings["active"]).pk


BODIES: dict[str, Callable[[], dict[str, Any]]] = {
    "POST api/v1/token/": lambda: {"username": NAME, "password": PASSWORD},
    "POST api/v1/listings/": lambda: {"title": "Chair"},
    "PATCH api/v1/listings/<listing_id>/": lambda: {"title": "Chair"},
    "POST api/v1/listings/<listing_id>/images/": lambda: {"images": _photo()},
    "POST api/v1/search/image/": lambda: {"image": _photo()},
    "POST api/v1/embeddings/": lambda: {"image": _photo()},
    "POST search/photo/": lambda: {"image": _photo()},
    "POST sign-in/": lambda: {"username": NAME, "password": PASSWORD},
    "POST sell/": lambda: {"title": "Chair", "key": uuid.uuid4()},
    "POST my/listings/<listing_id>/": lambda: {"title": "Chair"},
    "POST my/listings/<listing_id>/status/": lambda: {"status": "sold"},
    "POST my/listings/<listing_id>/photos/": lambda: {"photos": _photo()},
}


def title_of(state: str) -> str:
    return f"Chair that is {state} here"


def _photo() -> SimpleUploadedFile:
    return SimpleUploadedFile("photo.jpg", PHOTO, "image/jpeg")


def _make_person(letter: str) -> User | None:
    if letter == "V":
        return None
    person = User.objects.create_user(f"person-{letter}", is_staff=letter in "NRCA", is_superuser=letter == "A")
    given = Permission.objects.filter(content_type__app_label__in=ROOMS)
    if letter in "RC":
        person.user_permissions.set(given.filter(codename__startswith="view_") if letter == "R" else given)
    return person


def _sign_in(person: User | None) -> Client:
    client = Client()
    if person:
        client.force_login(person)
    return client


@contextmanager
def _rolled_back() -> Iterator[None]:
    # A savepoint and no block: what is saved durably refuses to be inside one.
    savepoint = transaction.savepoint()
    try:
        yield
    finally:
        transaction.savepoint_rollback(savepoint)


@contextmanager
def _watched_writes() -> Iterator[list[str]]:
    writes: list[str] = []

    def watch(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
        if WRITE.match(sql):
            writes.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        yield writes


def _cell_of(door: str, response: Any, writes: list[str]) -> Cell:
    status: int = response.status_code
    if status == 401 or (status == 302 and response["Location"].startswith(SIGN_IN_PAGES)):
        return SIGN_IN
    if door.startswith("ACTION") and status < 400:
        return "done" if writes else NOTHING
    return UNREADY.get(status, status)


def _find_secrets(text: str, letter: str) -> Iterator[str]:
    for state in STATES:
        if letter not in SEES[state] and title_of(state) in text:
            yield f"reads the title of a listing that is {state}"
    if letter not in EXACT_PLACE and EXACT in text:
        yield "reads an exact place"
