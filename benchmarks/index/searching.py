"""Asks an index one query at a time: recall and latency of plain searches, and of searches with each filter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ml.inference.arrays import Vectors

from . import engine
from .dataset import K, Questions
from .exact import recall_of_rows
from .latency import summarise_latencies, time_answers, use_one_thread


def measure_plain(state: Any, questions: Questions) -> dict[str, Any]:
    """`recall_at_10`, `p50_ms`, `p99_ms` and `qps_1thread` over the unseen queries."""
    with use_one_thread():
        time_answers(make_asker(state, questions.warming), range(len(questions.warming)))
        answers, milliseconds = time_answers(make_asker(state, questions.queries), range(len(questions.queries)))
    found = [engine.list_found_rows(one) for one in answers[: len(questions.truth)]]
    return {
        "recall_at_10": round(recall_of_rows(found, questions.truth), 4),
        **summarise_latencies(milliseconds),
        "plan": engine.describe_plans(answers),
    }


def measure_filtered(state: Any, questions: Questions) -> dict[str, dict[str, Any]]:
    """The same by level. Deciding which rows pass is part of a search."""
    results, search = {}, engine.import_search()
    for level, truth, passing in questions.filters:
        queries = questions.queries[: len(truth), None]
        asked = [(query, engine.make_filter(level.filter_arguments(number))) for number, query in enumerate(queries)]
        with use_one_thread():
            answers, milliseconds = time_answers(lambda one: search(state, one[0], K, one[1]), asked)
        returned = np.array([len(one) for one in answers])
        results[level.name] = {
            "recall": round(recall_of_rows([engine.list_found_rows(one) for one in answers], truth), 4),
            **summarise_latencies(milliseconds),
            "returned": int(returned.min()),
            "short": int(np.count_nonzero(returned < np.minimum(passing, K))),  # searches that gave fewer than exist
            "passing": int(passing.mean()),
            "plan": engine.describe_plans(answers),
        }
    return results


def make_asker(state: Any, queries: Vectors) -> Callable[[int], Any]:
    """Searches for one of float32[q, dim] by its number, without a filter."""
    condition, search = engine.make_filter({}), engine.import_search()
    return lambda number: search(state, queries[number : number + 1], K, condition)
