"""Places: what is public is a point of the 1 km grid, and no question narrows it further."""

import itertools
import random

import pytest

from listings.finding.geo import snap_to_grid
from listings.models import Listing
from tests.factories import api, make_listing, make_user
from tests.listings.geometry import distance_km

pytestmark = pytest.mark.django_db

LISTINGS = "/api/v1/listings/"
DOOR = (51.50101, -0.14189)


def test_near_says_what_the_grid_says_everywhere_on_earth():
    rng = random.Random(1)
    seller = make_user()
    places = [
        *((rng.uniform(-90, 90), rng.uniform(-180, 180)) for _ in range(400)),
        *((rng.gauss(51.5, 0.3), rng.gauss(-0.1, 0.4)) for _ in range(400)),
        *((rng.gauss(0, 0.2), rng.choice([-1, 1]) * (180 - abs(rng.gauss(0, 0.2)))) for _ in range(200)),
        *((90 - abs(rng.gauss(0, 0.2)), rng.uniform(-180, 180)) for _ in range(200)),
    ]
    Listing.objects.bulk_create(
        Listing(seller=seller, title="x", latitude=latitude, longitude=longitude) for latitude, longitude in places
    )
    make_listing(seller, title="nowhere")
    rows = list(Listing.objects.exclude(latitude=None))
    circles = [
        (51.5, -0.1, 5),
        (51.5, -0.1, 50),
        (0, 179.99, 20),
        (0, -180, 30),
        (89.9, 10, 30),
        (90, 0, 5),
        (-90, 0, 500),
        (10, 20, 3000),
        (10, 20, 20_100),
        *((*rng.choice(places), rng.uniform(0.6, 40)) for _ in range(15)),
    ]
    for latitude, longitude, radius in circles:
        got = {listing.pk for listing in Listing.objects.near(latitude, longitude, radius)}
        # The published point is rounded to a metre, so a listing that near to the rim may fall on either side.
        away = {row.pk: distance_km((latitude, longitude), row.point) for row in rows}
        assert {pk for pk, km in away.items() if km < radius - 0.002} <= got
        assert got <= {pk for pk, km in away.items() if km < radius + 0.002}


def test_only_the_seller_and_staff_read_the_exact_place_and_only_when_they_open_the_listing():
    seller = make_user()
    listing = make_listing(seller, latitude=DOOR[0], longitude=DOOR[1])
    grid = snap_to_grid(*DOOR)
    assert grid != DOOR
    for person in (None, make_user(), seller, make_user(staff=True)):
        own = person is not None and (person == seller or person.is_staff)
        opened = api(person).get(f"{LISTINGS}{listing.pk}/").json()
        assert (opened["latitude"], opened["longitude"]) == (DOOR if own else grid)
        (listed,) = api(person).get(LISTINGS).json()["results"]
        assert (listed["latitude"], listed["longitude"]) == grid


def answers(questions) -> list[bool]:
    """What a visitor is told about the only listing there is."""
    return [
        bool(api().get(LISTINGS, {"near": f"{lat},{lon}", "radius_km": km}).json()["results"])
        for lat, lon, km in questions
    ]


def test_no_series_of_circles_tells_two_doors_of_one_cell_apart():
    """An attacker's view is a function of the cell: bisecting the radius from many sides ends at the grid point."""
    row, column = snap_to_grid(*DOOR)
    doors = [DOOR, (row + 0.0044, column + 0.0071), (row - 0.0044, column - 0.0071), (row, column)]
    assert len({snap_to_grid(*door) for door in doors}) == 1
    listing = make_listing(latitude=DOOR[0], longitude=DOOR[1])
    questions = [
        (round(row + dlat, 4), round(column + dlon, 4), round(km, 3))
        for (dlat, dlon), km in itertools.product(
            [(0, 0), (0.05, 0), (0, 0.05), (-0.031, 0.02), (0.004, -0.006)], [0.1, 0.3, 0.5, 0.7, 3.4, 3.5, 5.5, 5.6]
        )
    ]
    seen = []
    for latitude, longitude in doors:
        Listing.objects.filter(pk=listing.pk).update(latitude=latitude, longitude=longitude)
        seen.append(answers(questions))
    assert all(view == seen[0] for view in seen)
    assert len(set(seen[0])) == 2


def test_bisecting_the_radius_finds_the_grid_point_and_not_the_door():
    make_listing(latitude=DOOR[0], longitude=DOOR[1])
    centre = (51.52, -0.11)
    low, high = 0.0, 10.0
    for _ in range(20):
        middle = (low + high) / 2
        (inside,) = answers([(*centre, middle)])
        low, high = (low, middle) if inside else (middle, high)
    snapped = snap_to_grid(*centre)
    assert high == pytest.approx(distance_km(snapped, snap_to_grid(*DOOR)), abs=0.002)
    assert abs(high - distance_km(snapped, DOOR)) > 0.02


def test_without_a_radius_ten_kilometres_are_meant():
    make_listing(title="in", latitude=51.58, longitude=-0.14)
    make_listing(title="out", latitude=51.61, longitude=-0.14)
    answer = api().get(LISTINGS, {"near": "51.5,-0.14"}).json()
    assert [listing["title"] for listing in answer["results"]] == ["in"]
