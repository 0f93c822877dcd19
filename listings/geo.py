"""The 1 km grid. Nothing public and nothing searchable is finer, so a seller's door is never computable."""

import math

EARTH_RADIUS_KM = 6371.0088
KM_PER_DEGREE = 111.195


def to_grid(latitude: float, longitude: float) -> tuple[float, float]:
    """Snap a point to the centre of its cell, about one kilometre on each side."""
    lat_step = 1 / KM_PER_DEGREE
    row = math.floor(latitude / lat_step)
    lat = min(90.0, max(-90.0, (row + 0.5) * lat_step))
    lon_step = lat_step / max(0.01, math.cos(math.radians(lat)))
    lon = (math.floor(longitude / lon_step) + 0.5) * lon_step
    return round(lat, 5), round(min(180.0, max(-180.0, lon)), 5)


def distance_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Great-circle distance between two points, haversine formula."""
    lat1, lon1, lat2, lon2 = map(math.radians, (*a, *b))
    h = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(h)))
