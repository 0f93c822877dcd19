"""The linear ranker: readable weights times features in [0, 1]."""

DEFAULT_WEIGHTS = {
    "similarity": 1.0,
    "category": 0.25,
    "price": 0.15,
    "distance": 0.10,
    "age": 0.05,
    "photos": 0.02,
}
