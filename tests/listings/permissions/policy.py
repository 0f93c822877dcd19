"""What the site promises: for every door, who gets which answer. Written by hand, and checked by requests.

A person is a letter. Whoever adds an endpoint, a page or an action adds its row here, and then runs
`python -m tests.listings.permissions`, which writes the table of SECURITY.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

PEOPLE = {
    "V": "visitor",
    "B": "shopper",
    "S": "seller",
    "O": "other seller",
    "N": "staff",
    "R": "staff, view",
    "C": "staff, change",
    "A": "superuser",
}
STATES = ("active", "sold", "draft", "removed")
ALL, KNOWN, STAFF, VIEW, CHANGE, SUPER, NOBODY = "VBSONRCA", "BSONRCA", "NRCA", "RCA", "CA", "A", ""

# Of a listing in each state.
SEES = {"active": ALL, "sold": ALL, "draft": "SRCA", "removed": VIEW}
CHANGES = {"active": "SCA", "sold": "SCA", "draft": "SCA", "removed": CHANGE}
EXACT_PLACE = "SRCA"

SIGN_IN = "sign in"  # 401 over REST, a redirect to the sign-in page elsewhere
NOTHING = "nothing"  # of an action: it is not offered, and sent nevertheless it does nothing
DONE = "done"
Cell: TypeAlias = int | str
Row: TypeAlias = Callable[[str, str], Cell]


def everybody(status: Cell = 200) -> Row:
    return lambda state, person: status


def signed_in(status: int = 200) -> Row:
    return lambda state, person: status if person in KNOWN else SIGN_IN


def sees(status: int = 200) -> Row:
    """Whoever may see the listing; others do not learn that it exists."""
    return lambda state, person: status if person in SEES[state] else 404


def changes(status: int = 200) -> Row:
    """Whoever may change the listing."""

    def cell(state: str, person: str) -> Cell:
        if person not in KNOWN:
            return SIGN_IN
        return status if person in CHANGES[state] else 403 if person in SEES[state] else 404

    return cell


def adds_photos(status: int) -> Row:
    """As `changes`; nobody adds a photo to a removed listing."""
    allowed = changes(status)
    return lambda state, person: 404 if state == "removed" and person in CHANGE else allowed(state, person)


def with_right(people: str, status: int = 200, *, hidden: int = 403) -> Row:
    return lambda state, person: SIGN_IN if person not in KNOWN else status if person in people else hidden


def in_admin(people: str, status: int = 200, *, hidden: int = 403) -> Row:
    """A page of the admin, whose sign-in page is its own, for everybody but staff."""
    return lambda state, person: SIGN_IN if person not in STAFF else status if person in people else hidden


def action(people: str, viewers: str = VIEW) -> Row:
    def cell(state: str, person: str) -> Cell:
        if person not in STAFF:
            return SIGN_IN
        return 403 if person not in viewers else DONE if person in people else NOTHING

    return cell


LISTING, MINE = "api/v1/listings/<listing_id>/", "my/listings/<listing_id>/"
PICTURE = sees()

POLICY: dict[str, Row] = {
    "POST api/v1/token/": everybody(),
    # By the token that it ends, and by nothing else.
    "DELETE api/v1/token/": everybody(SIGN_IN),
    "GET api/v1/tokens/": signed_in(),
    "DELETE api/v1/tokens/<token_id>/": with_right("S", 204, hidden=404),
    "GET api/v1/listings/": everybody(),
    "POST api/v1/listings/": signed_in(201),
    f"GET {LISTING}": sees(),
    f"PATCH {LISTING}": changes(),
    f"DELETE {LISTING}": changes(204),
    f"POST {LISTING}images/": adds_photos(201),
    f"DELETE {LISTING}images/<image_id>/": changes(204),
    f"GET {LISTING}similar/": sees(),
    "POST api/v1/search/image/": everybody(),
    "POST api/v1/embeddings/": with_right(VIEW),
    "GET api/schema/": everybody(),
    "GET api/docs/": everybody(),
    "GET health/live": everybody(),
    "GET health/ready": everybody(),
    "GET metrics": lambda state, person: 200 if person in VIEW else 403,
    "GET media/<name>": PICTURE,
    "GET originals/<image_id>/": with_right(VIEW),
    "GET ": everybody(),
    "GET listings/<listing_id>/": sees(),
    "GET search/photo/": everybody(),
    "POST search/photo/": everybody(),
    "GET sign-in/": lambda state, person: 302 if person in KNOWN else 200,
    "POST sign-in/": everybody(302),
    "PUT sign-in/": lambda state, person: 302 if person in KNOWN else 200,
    "POST sign-out/": everybody(302),
    "GET sell/": signed_in(),
    "POST sell/": signed_in(302),
    "GET my/": signed_in(),
    f"GET {MINE}": changes(),
    f"POST {MINE}": changes(302),
    f"POST {MINE}status/": changes(302),
    f"GET {MINE}remove/": changes(),
    f"POST {MINE}remove/": changes(302),
    f"POST {MINE}photos/": adds_photos(200),
    f"GET {MINE}photos.json": changes(),
    f"GET {MINE}photos/<image_id>/delete/": changes(),
    f"POST {MINE}photos/<image_id>/delete/": changes(302),
    "GET admin/": in_admin(STAFF),
    "GET admin/login/": lambda state, person: 302 if person in STAFF else 200,
    "POST admin/login/": everybody(),
    "GET admin/logout/": lambda state, person: 405 if person in STAFF else 302,
    "POST admin/logout/": everybody(302),
    "GET admin/password_change/": in_admin(STAFF),
    "POST admin/password_change/": in_admin(STAFF),
    "GET admin/password_change/done/": in_admin(STAFF),
    "GET admin/autocomplete/": in_admin(VIEW),
    "GET admin/jsi18n/": in_admin(STAFF),
    "GET admin/r/<content_type_id>/<object_id>/": in_admin(STAFF, 302),
    "GET admin/<app_label>/": in_admin(VIEW, hidden=404),
    "GET admin/<url>": in_admin(NOBODY, hidden=404),
    "GET admin/auth/user/<id>/password/": in_admin(SUPER),
    "POST admin/auth/user/<id>/password/": in_admin(SUPER),
    "GET admin/recommender/embeddingmodel/<pk>/<name>/": in_admin(CHANGE),
    "POST admin/recommender/embeddingmodel/<pk>/<name>/": in_admin(CHANGE, 302),
    "GET admin/recommender/embeddingmodel/<pk>/reports/<name>": in_admin(VIEW),
    "ACTION listings.listing mark_sold": action(CHANGE),
    "ACTION listings.listing mark_active": action(CHANGE),
    "ACTION listings.listing mark_removed": action(CHANGE),
    "ACTION listings.listing requeue_photos_of_listings": action(CHANGE),
    "ACTION listings.listing delete_selected": action(SUPER),
    "ACTION listings.listingimage requeue_selected_photos": action(CHANGE),
    "ACTION listings.listingimage delete_selected": action(CHANGE),
    "ACTION listings.accesstoken delete_selected": action(CHANGE),
    "ACTION listings.category delete_selected": action(CHANGE),
    "ACTION recommender.embedding requeue_photos_of_embeddings": action(CHANGE),
    "ACTION recommender.rankerversion activate_selected_ranker": action(CHANGE),
    "ACTION recommender.rankerversion delete_selected": action(CHANGE),
    "ACTION auth.user delete_selected": action(SUPER, SUPER),
    "ACTION auth.group delete_selected": action(SUPER, SUPER),
    "ACTION axes.accessattempt delete_selected": action(SUPER, SUPER),
}

# Models in the admin → who may view, add, change and delete their rows there.
ADMIN_PAGES = {
    "listings/category": (VIEW, CHANGE, CHANGE, CHANGE),
    "listings/listing": (VIEW, CHANGE, CHANGE, SUPER),
    "listings/listingimage": (VIEW, NOBODY, CHANGE, CHANGE),
    "recommender/embeddingmodel": (VIEW, NOBODY, NOBODY, NOBODY),
    "recommender/embedding": (VIEW, NOBODY, NOBODY, NOBODY),
    "recommender/indexsnapshot": (VIEW, NOBODY, NOBODY, NOBODY),
    "recommender/indexhead": (VIEW, NOBODY, NOBODY, NOBODY),
    "recommender/heartbeat": (VIEW, NOBODY, NOBODY, NOBODY),
    "recommender/rankerversion": (VIEW, CHANGE, CHANGE, CHANGE),
    "auth/group": (SUPER, SUPER, SUPER, SUPER),
    "auth/user": (SUPER, SUPER, SUPER, SUPER),
    "axes/accessattempt": (SUPER, NOBODY, NOBODY, SUPER),
    "listings/accesstoken": (VIEW, NOBODY, NOBODY, CHANGE),
}

for model, (viewers, adders, changers, deleters) in ADMIN_PAGES.items():
    POLICY |= {
        f"GET admin/{model}/": in_admin(viewers),
        f"POST admin/{model}/": in_admin(viewers),
        f"GET admin/{model}/<object_id>/": in_admin(STAFF, 302),
        f"GET admin/{model}/<object_id>/history/": in_admin(viewers),
        f"GET admin/{model}/<object_id>/change/": in_admin(viewers),
        f"POST admin/{model}/<object_id>/change/": in_admin(changers),
        f"GET admin/{model}/add/": in_admin(adders),
        f"POST admin/{model}/add/": in_admin(adders),
        f"GET admin/{model}/<object_id>/delete/": in_admin(deleters),
        f"POST admin/{model}/<object_id>/delete/": in_admin(deleters, 302),
    }


# A form of one number, which may stay as it is.
POLICY["POST admin/listings/listingimage/<object_id>/change/"] = in_admin(CHANGE, 302)


def depends_on_a_listing(door: str) -> bool:
    return not door.startswith(("GET admin", "POST admin", "ACTION")) and (
        "<listing_id>" in door or "<image_id>" in door or "media/" in door
    )
