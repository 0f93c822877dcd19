"""All that the index benchmark knows of `recommender.index`: writing a segment, opening a state over it, searching it.

With that in one place, the rest does not change when the index does.
"""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.folders.vector_folder import Halves

from .dataset import Values

MODEL = "bench"


def set_up_django() -> None:
    """Load the settings, which the index reads. No database is asked."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")
    os.environ.setdefault("SECRET_KEY", "unused")
    django.setup()


def build_segment(directory: Path, values: Values, blocks: Iterable[Halves], dim: int) -> None:
    """Write one segment of all rows."""
    from recommender.index.storage import segment

    rows = len(values["listing"])
    segment.write_segment(directory, _make_pages(values, blocks), expected=rows, dim=dim, model=MODEL)


def _make_pages(values: Values, blocks: Iterable[Halves]) -> Iterator[tuple[Any, Halves]]:
    """Yield (columns, vectors) of each block, as a segment is written from. Every listing is on sale."""
    from recommender.index import STATUSES
    from recommender.index.rows.columns import Columns, column_dtypes

    first = 0
    for block in blocks:
        here = slice(first, first + len(block))
        own = {name: array[here] for name, array in values.items()}
        own["status"] = np.full(len(block), STATUSES.index("active"))
        yield Columns(**{name: own[name].astype(dtype) for name, dtype in column_dtypes().items()}), block
        first += len(block)


def open_state(directory: Path) -> Any:
    """A state over this one segment, all of its rows live."""
    from recommender.index.storage import segment
    from recommender.index.storage.snapshot import Part, Snapshot
    from recommender.index.view.apply_changes import make_state

    opened = segment.open_segment(directory, MODEL)
    base = Snapshot(
        id=None,
        directory=None,
        epoch=uuid.uuid4(),
        model_id=1,
        model_version=MODEL,
        dim=opened.dim,
        position="0",
        parts=(Part(opened, np.ones(len(opened), bool)),),
    )
    return make_state(base)


def make_filter(conditions: dict[str, Any]) -> Any:
    from recommender.index import Filter

    return Filter(statuses=("active",), **conditions)


def import_search() -> Callable[..., Any]:
    """The function that searches a state by queries, k and a filter; once imported, no search is timed with that."""
    from recommender.index import find_nearest_listings

    return find_nearest_listings


def mapped_vectors(state: Any) -> Halves:
    """The vectors of the state's segment, float16[n, dim], mapped and not read."""
    return state.base.parts[0].segment.vectors


def copy_values(state: Any, rows: int) -> Values:
    """Copies of the columns of the first rows, but their status."""
    from recommender.index.rows.columns import column_dtypes

    columns = state.base.parts[0].segment.columns
    return {name: np.array(getattr(columns, name)[:rows]) for name in column_dtypes() if name != "status"}


def read_structure(directory: Path) -> dict[str, Any]:
    """What the manifest says of how rows are searched: the kind, and how it was tuned, without the long tables."""
    from recommender.index.storage import segment

    return _shorten_structure(segment.read_manifest(directory)["structure"])


def _shorten_structure(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out lists and what is empty."""
    found = {name: _shorten_structure(value) if isinstance(value, dict) else value for name, value in values.items()}
    return {name: value for name, value in found.items() if value not in ({}, None) and not isinstance(value, list)}


def count_structure_bytes(directory: Path) -> int:
    """How many bytes a segment takes on disk beside its vectors and columns."""
    from recommender.index.rows.columns import column_dtypes
    from recommender.index.storage import segment

    others = {segment.MANIFEST, segment.VECTORS, *(f"{name}.npy" for name in column_dtypes())}
    return sum(path.stat().st_size for path in directory.iterdir() if path.name not in others)


def list_found_rows(candidates: Any) -> NDArray[np.int64]:
    """Row numbers int64[r], most similar first. A listing's id is the number of its row plus one."""
    return candidates.listing - 1


def describe_plans(candidates: Sequence[Any]) -> str:
    """In words what most of these searches did, with the medians of what they counted."""
    plans = [found.plan for found in candidates]
    if not all(isinstance(plan, tuple) and plan and isinstance(plan[0], dict) for plan in plans):
        return Counter(map(str, plans)).most_common(1)[0][0]
    steps = [plan[0] for plan in plans]
    words = [tuple((name, value) for name, value in step.items() if isinstance(value, str)) for step in steps]
    usual = Counter(words).most_common(1)[0][0]
    same = [step for step, its in zip(steps, words, strict=True) if its == usual]
    counted = [name for name, value in same[0].items() if isinstance(value, int | float)]
    medians = [f"{name} {np.median([step.get(name, 0) for step in same]):g}" for name in counted]
    return ", ".join([*(value for _, value in usual), *medians, f"in {len(same)} of {len(steps)}"])
