"""Times searches one at a time on one thread, and finds the least effort that reaches a recall.

What is compared is asked in turns, so that a busy minute of the machine slows all alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Question = TypeVar("Question")
Answer = TypeVar("Answer")

IN_A_TURN = 50  # questions, after which the next one has its turn


@contextmanager
def use_one_thread() -> Iterator[None]:
    """Let FAISS and numpy compute on the calling thread alone."""
    import faiss
    from threadpoolctl import threadpool_limits

    before = faiss.omp_get_max_threads()
    with threadpool_limits(1):
        faiss.omp_set_num_threads(1)
        yield
    faiss.omp_set_num_threads(before)


def use_all_cores() -> None:
    """Let FAISS compute on every core from now on, because a search of the index leaves it with one."""
    import faiss

    from ml.inference.cores import count_usable_cores

    faiss.omp_set_num_threads(count_usable_cores())


def time_answers(
    ask: Callable[[Question], Answer], questions: Iterable[Question]
) -> tuple[list[Answer], NDArray[np.float64]]:
    """Ask one question after another; returns the answers, and the milliseconds that each took."""
    answers, milliseconds = [], []
    for question in questions:
        start = time.perf_counter()
        answers.append(ask(question))
        milliseconds.append((time.perf_counter() - start) * 1000)
    return answers, np.array(milliseconds)


def time_in_turns(asks: Sequence[Callable[[int], Any]], count: int) -> list[tuple[list[Any], NDArray[np.float64]]]:
    """Ask each of `asks` the questions 0 to `count`, some at a time; returns the answers and milliseconds of each."""
    answers: list[list[Any]] = [[] for _ in asks]
    milliseconds: list[list[NDArray[np.float64]]] = [[] for _ in asks]
    for start in range(0, count, IN_A_TURN):
        for number, ask in enumerate(asks):
            some, took = time_answers(ask, range(start, min(start + IN_A_TURN, count)))
            answers[number] += some
            milliseconds[number].append(took)
    return [(some, np.concatenate(took)) for some, took in zip(answers, milliseconds, strict=True)]


def summarise_latencies(milliseconds: NDArray[np.float64]) -> dict[str, Any]:
    p50, p99 = np.percentile(milliseconds, [50, 99])
    return {
        "p50_ms": round(float(p50), 3),
        "p99_ms": round(float(p99), 3),
        "qps_1thread": round(1000 / float(milliseconds.mean()), 1),
    }


def find_least_reaching(reaches: Callable[[int], bool], low: int, high: int) -> int | None:
    """The least effort from `low` to `high` that `reaches` what is wanted, None if none does; exact to a thirtieth.

    Every effort above one that reaches has to reach too. Efforts are doubled until one does and only then bisected,
    because large ones take long to try.
    """
    if reaches(low):
        return low
    under, over = low, min(2 * low, high)
    while not reaches(over):
        if over == high:
            return None
        under, over = over, min(2 * over, high)
    while over - under > max(1, over // 30):
        middle = (under + over) // 2
        under, over = (under, middle) if reaches(middle) else (middle, over)
    return over
