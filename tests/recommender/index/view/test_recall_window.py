"""What judged searches tell together."""

import time

import pytest

from recommender.index.view.recall_window import JudgedSearch, Recall, RecallWindow


def window_of(*recalls, model_id=1, ago=0.0):
    window = RecallWindow()
    record(window, *recalls, model_id=model_id, ago=ago)
    return window


def record(window, *recalls, model_id=1, ago=0.0):
    for recall in recalls:
        window.record(JudgedSearch(recall, model_id, filtered=False, at=time.monotonic() - ago))


def everything(window):
    return window.recall_by_kind()["all"]


def test_an_empty_window_tells_nothing():
    assert everything(RecallWindow()) == Recall(judged=0, mean=None, worst=None, last_s=None)
    assert RecallWindow().describe_problem(0.98) is None


def test_the_window_is_bounded_and_old_searches_and_other_models_leave_it():
    window = window_of(*[0.0] * 10, *[1.0] * 500)
    assert (everything(window).judged, everything(window).worst) == (500, 1.0)
    record(window, 0.0, ago=86_401)
    assert (everything(window).judged, everything(window).worst) == (499, 1.0)
    record(window, 0.5, model_id=2)
    assert (everything(window).judged, everything(window).mean) == (1, 0.5)


def test_the_time_since_the_last_search_is_told():
    assert everything(window_of(1.0, ago=70)).last_s == pytest.approx(70, abs=5)


def test_low_recall_is_a_problem_once_enough_was_judged():
    window = window_of(*[0.75] * 99)
    assert window.describe_problem(0.98) is None
    record(window, 0.75)
    assert window.describe_problem(0.98) == (
        "searches find 75.0% of what an exact search finds (100 repeated; the target is 98.0%)"
    )


@pytest.mark.parametrize(("missed", "problem"), [(0, False), (15, False), (17, True)])
def test_recall_a_little_below_the_target_is_no_problem(missed, problem):
    window = window_of(*[1.0] * (100 - missed), *[0.75] * missed)
    assert bool(window.describe_problem(0.98)) is problem
