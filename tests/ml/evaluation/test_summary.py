"""Means, their intervals, confusions and differences say what they claim to say."""

from collections import Counter

import numpy as np
import pytest

from ml.evaluation import bootstrap
from ml.evaluation.bootstrap import percentile_intervals, resample_means
from ml.evaluation.confusion import Confusion, count_confusions
from ml.evaluation.figures import NAMES
from ml.evaluation.metrics import Judged, macro_average
from ml.evaluation.summary import summarise_figures

M = len(NAMES)


def figures_of(values):
    """The same value for every figure."""
    return np.repeat(np.array(values, float)[:, None], M, axis=1)


def test_the_interval_of_a_mean_is_as_wide_as_theory_says():
    values = np.random.default_rng(1).normal(0.5, 0.2, size=(2000, 1))
    (found,) = percentile_intervals(values.mean(axis=0), resample_means(values, np.random.default_rng(0)))
    error = values.std() / np.sqrt(len(values))
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)


def test_resamples_depend_on_the_seed_and_not_on_how_many_are_made_at_a_time(monkeypatch):
    values = np.random.default_rng(2).random((50, 2))
    at_once = resample_means(values, np.random.default_rng(0), resamples=20)
    monkeypatch.setattr(bootstrap, "CELLS", 150)
    np.testing.assert_allclose(resample_means(values, np.random.default_rng(0), resamples=20), at_once)
    assert not np.allclose(resample_means(values, np.random.default_rng(1), resamples=20), at_once)


def test_each_resample_is_a_mean_of_as_many_draws():
    means = resample_means(np.array([[0.0], [1.0]]), np.random.default_rng(0), resamples=400)
    assert np.unique(means).tolist() == [0, 0.5, 1]
    assert means.mean() == pytest.approx(0.5, abs=0.06)


def test_micro_macro_and_classes_are_means_of_the_right_queries():
    values, targets = [1, 0, 0.5, 1, 1, np.nan, 0.25], np.array([2, 0, 0, 2, 2, 1, 3])
    summary = summarise_figures(figures_of(values), targets, ["a", "b", "c", "d"], at_least=2)
    assert (summary.micro.n, summary.macro.n) == (6, 2)
    assert summary.micro["map_at_r"].mean == 3.75 / 6
    assert summary.macro["map_at_r"].mean == pytest.approx((0.25 + 1) / 2)
    assert summary.macro["map_at_r"].mean == pytest.approx(macro_average(np.array(values, float), targets, at_least=2))
    assert {name: (means.n, means["recall_at_5"].mean) for name, means in summary.per_class.items()} == {
        "a": (2, 0.25),
        "c": (3, 1),
        "d": (1, 0.25),
    }


def test_intervals_hold_the_mean_and_classes_without_spread_have_none():
    rng = np.random.default_rng(3)
    targets = rng.integers(0, 4, 200)
    spread = summarise_figures(figures_of(rng.random(200)), targets, list("abcd"), at_least=10)
    for means in (spread.micro, spread.macro, *spread.per_class.values()):
        assert all(interval.low < interval.mean < interval.high for interval in means.intervals)
    constant = summarise_figures(figures_of(targets / 4), targets, list("abcd"), at_least=10)
    assert constant.macro["map_at_r"].low == constant.macro["map_at_r"].high == pytest.approx(0.375)
    assert constant.micro["map_at_r"].low < constant.micro["map_at_r"].high


def test_without_a_large_class_there_is_no_macro_mean():
    summary = summarise_figures(figures_of([1, 0, 1]), np.array([0, 0, 1]), ["a", "b"], at_least=10)
    assert summary.macro is None
    assert summary.as_dict()["macro"] is None
    with pytest.raises(ValueError, match="anything to find"):
        summarise_figures(figures_of([np.nan]), np.array([0]), ["a"], at_least=1)


def test_confusion_counts_first_results_of_queries_with_something_to_find():
    nothing = np.zeros((4, 0), int)
    judged = Judged(
        np.array([0, 0, 1, 2]),
        nothing,
        np.array([1, 1, 1, 0]),
        nothing.astype(bool),
        np.array([[1], [0], [3], [2]]),
        nothing,
    )
    found = count_confusions(judged, np.array([0, 1, 1, 2]), ["a", "b", "c"])
    assert found.counts == {("a", "a"): 1, ("a", "b"): 1, ("b", "c"): 1}
    assert found.as_dict() == {"a": {"a": 1, "b": 1}, "b": {"c": 1}}


def test_mistakes_come_most_frequent_first_and_never_include_right_answers():
    found = Confusion(Counter({("a", "a"): 9, ("a", "b"): 1, ("b", "a"): 3, ("c", "b"): 2, ("d", "d"): 20}))
    assert found.list_most_frequent_mistakes(2) == [("b", "a", 3), ("c", "b", 2)]
    assert len(found.list_most_frequent_mistakes(10)) == 3
    assert found.most_confused_classes(2) == ["a", "b"]
    assert found.most_confused_classes(4) == ["a", "b", "c", "d"]
