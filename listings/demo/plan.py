"""Which listings the demo catalogue holds. Pure: the n-th one is always the same, but for the day it counts from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from .drawing import BACKGROUNDS, COLOURS, KINDS, PATTERNS
from .drawing.dice import seeded_random
from .words import CONDITIONS, HANDOVERS, PATTERN_WORDS, SELLERS, TOWNS, WORDINGS

# As many as DEMO in `marketplace.supervisor.site`, so that `manage.py demo` finishes what a first start began.
LISTINGS = 208
# So few forms for each kind that every one comes back in other colours, as the models of real makers do.
FORMS = 12
OLDEST_DAYS = 60
SPREAD_DEGREES = 0.04


@dataclass(frozen=True, slots=True)
class DemoPhoto:
    """The words to draw it by."""

    id: str
    kind: str
    variant: int
    colour: str
    pattern: str
    background: str
    view: str


@dataclass(frozen=True, slots=True)
class DemoListing:
    id: str
    seller: str
    title: str
    description: str
    category: str
    price: Decimal
    location: str
    point: tuple[float, float]
    created_at: datetime
    photos: tuple[DemoPhoto, ...]


def plan_catalogue(count: int, day: datetime) -> Iterator[DemoListing]:
    """The first `count` demo listings, the kinds in turn, made in the sixty days before `day`."""
    kinds = list(KINDS)
    for index in range(count):
        yield plan_listing(kinds[index % len(kinds)], index // len(kinds), day)


def plan_listing(kind: str, number: int, day: datetime) -> DemoListing:
    rng = seeded_random(f"demo {kind} {number}")
    wording = WORDINGS[kind]
    colour = rng.choice(list(COLOURS))
    pattern = rng.choice(("plain", "plain", "plain", *PATTERNS))
    who = rng.randrange(len(SELLERS))
    town, (latitude, longitude) = list(TOWNS.items())[who]
    words = " ".join(word for word in (PATTERN_WORDS[pattern], rng.choice(wording.names)) if word)
    low, high = wording.prices
    return DemoListing(
        id=f"demo-{kind}-{number:04d}",
        seller=f"demo-{SELLERS[who]}",
        title=f"{words[0].upper()}{words[1:]}, {colour}",
        description=" ".join((*rng.sample(wording.details, 2), rng.choice(CONDITIONS), rng.choice(HANDOVERS))),
        category=wording.category,
        price=Decimal(rng.randint(low * 2, high * 2)) / 2,
        location=town,
        point=(
            round(latitude + rng.uniform(-SPREAD_DEGREES, SPREAD_DEGREES), 4),
            round(longitude + rng.uniform(-SPREAD_DEGREES, SPREAD_DEGREES), 4),
        ),
        created_at=day - timedelta(minutes=rng.randint(1, OLDEST_DAYS * 24 * 60)),
        photos=tuple(_plan_photos(kind, number, colour, pattern, rng)),
    )


def _plan_photos(kind: str, number: int, colour: str, pattern: str, rng: Random) -> Iterator[DemoPhoto]:
    """One to three photos of the item, each from another side and mostly in another place."""
    views = WORDINGS[kind].views
    for index, place in enumerate(rng.sample(BACKGROUNDS, rng.choice((1, 2, 2, 3)))):
        view = views[(number + index) % len(views)]
        yield DemoPhoto(f"demo-{kind}-{number:04d}-{index + 1}", kind, number % FORMS, colour, pattern, place, view)
