"""Measures recall and latency of an index that is asked one query at a time, without filters and with each."""

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
    found = [engine.list_found_rows(answer) for answer in answers[: len(questions.truth)]]
    return {
        "recall_at_10": round(recall_of_rows(found, questions.truth), 4),
        **summarise_latencies(milliseconds),
        "plan": engine.describe_plans(answers),
    }


def measure_filtered(state: Any, questions: Questions) -> dict[str, dict[str, Any]]:
    """The same with the filters of each level. Deciding which rows pass is part of a search, so it is timed with it."""
    results, search = {}, engine.import_search()
    for level, truth, passing in questions.filters:
        queries = questions.queries[: len(truth), None]
        asked = [(query, engine.make_filter(level.filter_arguments(number))) for number, query in enumerate(queries)]
        with use_one_thread():
            answers, milliseconds = time_answers(lambda question: search(state, question[0], K, question[1]), asked)
        returned = np.array([len(answer) for answer in answers])
        results[level.name] = {
            "recall": round(recall_of_rows([engine.list_found_rows(answer) for answer in answers], truth), 4),
            **summarise_latencies(milliseconds),
            "returned": int(returned.min()),
            # Searches that returned fewer than they could have.
            "short": int(np.count_nonzero(returned < np.minimum(passing, K))),
            "passing": int(passing.mean()),
            "plan": engine.describe_plans(answers),
        }
    return results


def make_asker(state: Any, queries: Vectors) -> Callable[[int], Any]:
    """A function that searches for the query of a number, of queries float32[q, dim], without a filter."""
    condition, search = engine.make_filter({}), engine.import_search()
    return lambda number: search(state, queries[number : number + 1], K, condition)
