"""Chance that repeats itself: the same words give the same throws, on every machine."""

from random import Random


def seeded_random(words: str) -> Random:
    return Random(words)  # noqa: S311 - decides forms and colours, keeps no secret
