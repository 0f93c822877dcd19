"""Geometry on the Earth's surface, and the 1 km grid.

Nothing public and nothing searchable is finer than the grid, so a seller's door is never computable.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

EARTH_RADIUS_KM = 6371.0088
KM_PER_DEGREE = 111.195

# A cell is this high everywhere, while its width in degrees grows with the distance from the equator.
CELL_DEGREES = 1 / KM_PER_DEGREE
# Meridians meet at the poles, where cells would become infinitely wide in degrees: where the cosine of the latitude is
# smaller than this they grow no wider.
SMALLEST_COSINE = 0.01
# No point is farther than this from its grid point, so a box that is wider by this much holds every point whose grid
# point is near.
CELL_SLACK_KM = 2.0
# A box is this much larger than its circle, so that rounding excludes no point on the rim.
BOX_SLACK_DEGREES = 1e-6


def snap_to_grid(latitude: float, longitude: float) -> tuple[float, float]:
    """Snap a point to the centre of its cell, about one kilometre on each side."""
    return grid_latitude(latitude), grid_longitude(latitude, longitude)


def grid_latitude(latitude: float) -> float:
    return round(_cell_centre_latitude(latitude), 5)


def grid_longitude(latitude: float, longitude: float) -> float:
    """How wide a cell is in degrees depends on its latitude."""
    width = CELL_DEGREES / max(SMALLEST_COSINE, math.cos(math.radians(_cell_centre_latitude(latitude))))
    centre = (math.floor(longitude / width) + 0.5) * width
    return round(min(180.0, max(-180.0, centre)), 5)


def _cell_centre_latitude(latitude: float) -> float:
    row = math.floor(latitude / CELL_DEGREES)
    return min(90.0, max(-90.0, (row + 0.5) * CELL_DEGREES))


def haversine_km(
    point: tuple[float, float], latitude: NDArray[np.float64], longitude: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Great-circle distances from a point, float64[n] in kilometres; nan where a place is not known."""
    lat1, lon1 = np.radians(point[0]), np.radians(point[1])
    lat2, lon2 = np.radians(latitude), np.radians(longitude)
    h = np.sin((lat2 - lat1) / 2) ** 2 + np.cos(lat1) * np.cos(lat2) * np.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(1.0, np.sqrt(h)))


def haversine_of_distance(radius_km: float) -> float:
    """The haversine of a distance. Two points are no farther apart than the distance if theirs is at most this:
    SQL compares haversines, because not every database has the inverse sine."""
    return math.sin(min(radius_km / (2 * EARTH_RADIUS_KM), math.pi / 2)) ** 2


def box_around(point: tuple[float, float], radius_km: float) -> tuple[float, float, float, float]:
    """(south, north, west, east) in degrees that a circle lies in. West and east are infinite where the circle
    reaches a pole or the date line, because there its longitudes are no interval."""
    latitude, longitude = point
    reach = math.degrees(radius_km / EARTH_RADIUS_KM) + BOX_SLACK_DEGREES
    south, north = latitude - reach, latitude + reach
    if south <= -90 or north >= 90:
        return south, north, -math.inf, math.inf
    # A circle on a sphere is widest where a meridian touches it, nearer to the pole than the latitude of its centre.
    ratio = math.sin(math.radians(reach)) / math.cos(math.radians(latitude))
    half_width = math.degrees(math.asin(ratio)) if ratio < 1 else math.inf
    west, east = longitude - half_width, longitude + half_width
    if west <= -180 or east >= 180:
        return south, north, -math.inf, math.inf
    return south, north, west, east
