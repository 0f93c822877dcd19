"""Asks an index one query at a time: recall and latency of plain searches, and of searches with each filter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ml.inference.arrays import Vectors

from . import engine
from .dataset import K, Questions
from .exact import recall
from .latency import figures, one_thread, timed


def plain(state: Any, questions: Questions) -> dict[str, Any]:
    """`recall_at_10`, `p50_ms`, `p99_ms` and `qps_1thread` over the unseen queries."""
    with one_thread():
        timed(asker(state, questions.warming), range(len(questions.warming)))
        answers, milliseconds = timed(asker(state, questions.queries), range(len(questions.queries)))
    found = [engine.found_rows(one) for one in answers[: len(questions.truth)]]
    return {
        "recall_at_10": round(recall(found, questions.truth), 4),
        **figures(milliseconds),
        "plan": engine.plan(answers),
    }


def filtered(state: Any, questions: Questions) -> dict[str, dict[str, Any]]:
    """The same by level. Deciding which rows pass is part of a search."""
    results, search = {}, engine.search_function()
    for level, truth, passing in questions.filters:
        queries = questions.queries[: len(truth), None]
        asked = [(query, engine.where(level.conditions(number))) for number, query in enumerate(queries)]
        with one_thread():
            answers, milliseconds = timed(lambda one: search(state, one[0], K, one[1]), asked)
        returned = np.array([len(one) for one in answers])
        results[level.name] = {
            "recall": round(recall([engine.found_rows(one) for one in answers], truth), 4),
            **figures(milliseconds),
            "returned": int(returned.min()),
            "short": int(np.count_nonzero(returned < np.minimum(passing, K))),  # searches that gave fewer than exist
            "passing": int(passing.mean()),
            "plan": engine.plan(answers),
        }
    return results


def asker(state: Any, queries: Vectors) -> Callable[[int], Any]:
    """Searches for one of float32[q, dim] by its number, without a filter."""
    condition, search = engine.where({}), engine.search_function()
    return lambda number: search(state, queries[number : number + 1], K, condition)
