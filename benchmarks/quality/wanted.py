"""What the starter weights are meant to reach, beside what a model reaches."""

from __future__ import annotations

from typing import Any

from ml.evaluation.text_table import align_columns

# The place of a figure among those that are measured, and the least that is wanted of its mean.
WANTED: dict[tuple[str, ...], float] = {
    ("garments", "unseen", "model", "macro", "map_at_r"): 0.46,
    ("garments", "unseen", "model", "macro", "recall_at_1"): 0.82,
    ("garments", "heldout", "model", "macro", "map_at_r"): 0.41,
    ("garments", "heldout", "model", "macro", "recall_at_1"): 0.62,
    ("first-eight", "precision"): 0.75,
    ("first-eight", "worst kind"): 0.35,
    ("objects", "model", "macro", "map_at_r"): 0.61,
    ("objects", "kinds above the histogram"): 28,
    ("classes", "1-NN"): 0.45,
    ("demo", "kind precision@10"): 0.85,
    ("demo", "same item, other background, before the same item in each near colour"): 0.80,
    ("hues", "own 70 % crop before the copy in another hue, item alone"): 0.90,
    ("copies", "half a stop darker or lighter, and white balance", "original first"): 0.97,
    ("copies", "one stop darker or lighter", "original first"): 0.90,
    ("copies", "turned by 90 degrees", "original first"): 0.95,
    ("copies", "cut by 5 % on each side and recompressed", "original first"): 0.995,
    ("cost", "speed beside the former"): 0.667,
    ("cost", "8 bits minus float32"): -0.005,
}


def compare_with_wanted(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """Each wanted figure of the parts that were measured: `{figure, wanted, found, met}`, None where there is none."""
    rows = []
    for place, wanted in WANTED.items():
        if place[0] in figures:
            found = _find_mean(figures, place)
            met = None if found is None else found >= wanted
            rows.append({"figure": ", ".join(place), "wanted": wanted, "found": found, "met": met})
    return rows


def format_wanted(rows: list[dict[str, Any]]) -> str:
    """The rows as lines, those that are not met marked."""
    said = {True: "", False: "MISSED", None: "not measured"}
    cells = [
        (row["figure"], "" if row["found"] is None else f"{row['found']:.3f}", str(row["wanted"]), said[row["met"]])
        for row in rows
    ]
    return "\n".join(align_columns([("figure", "found", "wanted", ""), *cells]))


def _find_mean(figures: Any, place: tuple[str, ...]) -> float | None:
    for key in place:
        if key not in figures:  # no class is large enough for a mean over classes
            return None
        figures = figures[key]
    return figures[0] if isinstance(figures, list) else figures
