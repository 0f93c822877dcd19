"""Every figure equals the slow, obvious one, and what can be worked out by hand."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.evaluation import chance, metrics
from ml.evaluation.figures import NAMES, expected_figures, measure_figures
from ml.evaluation.metrics import NO_GROUP, Labelled, judge_queries, macro_average
from ml.evaluation.nearest import top_k_columns

from . import slow_metrics as slow

# Few small integers: inner products are exact, and many of them are equal.
things = st.lists(
    st.tuples(st.tuples(*[st.integers(-1, 1)] * 3), st.integers(0, 3), st.integers(NO_GROUP, 3)),
    min_size=1,
    max_size=24,
)


def labelled(rows, *, grouped=True):
    vectors, targets, groups = zip(*rows, strict=True)
    return Labelled(np.array(vectors, np.float32), np.array(targets), np.array(groups) if grouped else None)


def assert_as_obvious(judged, queries, gallery, own):
    for i, query in enumerate(queries):
        order = slow.ranking(query, gallery, own[i])
        right = slow.right(query, gallery, own[i])
        found = [row for row in judged.found[i].tolist() if row >= 0]
        assert found == order[: judged.found.shape[1]]
        assert judged.candidates[i] == len(order)
        assert judged.relevant[i] == sum(right)
        figures = dict(zip(NAMES, measure_figures(judged)[i], strict=True))
        if not any(right):
            assert np.isnan(list(figures.values())).all()
            continue
        for k in (1, 5, 10):
            assert figures[f"recall_at_{k}"] == slow.recall_at(k, right)
            assert figures[f"precision_at_{k}"] == pytest.approx(slow.precision_at(k, right))
        assert figures["map_at_r"] == pytest.approx(slow.map_at_r(right))


@given(things, st.booleans(), st.integers(1, 400))
@settings(max_examples=150, deadline=None)
def test_leaving_one_out_is_as_obvious(rows, grouped, cells):
    rows = rows if grouped else [(vector, target, NO_GROUP) for vector, target, _ in rows]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "CELLS", cells)  # one query to all of them at a time
        judged = judge_queries(labelled(rows, grouped=grouped))
    assert_as_obvious(judged, rows, rows, own=range(len(rows)))


@given(things, things, st.data())
@settings(max_examples=150, deadline=None)
def test_a_separate_gallery_is_as_obvious(queries, gallery, data):
    own = data.draw(
        st.lists(st.integers(-1, len(gallery) - 1), min_size=len(queries), max_size=len(queries)), label="own"
    )
    judged = judge_queries(labelled(queries), labelled(gallery), own=np.array(own))
    assert_as_obvious(judged, queries, gallery, own)


@given(
    st.integers(1, 30).flatmap(
        lambda n: st.tuples(
            st.lists(st.lists(st.sampled_from([-np.inf, -1, 0, 0.5]), min_size=n, max_size=n), min_size=1, max_size=5),
            st.integers(1, n),
        )
    )
)
@settings(max_examples=100, deadline=None)
def test_nearest_are_the_first_of_a_stable_sort(case):
    similarity, k = np.array(case[0], np.float32), case[1]
    np.testing.assert_array_equal(top_k_columns(similarity, k), np.argsort(-similarity, axis=1, kind="stable")[:, :k])


def on_a_line(targets):
    """Vectors whose similarity to the first falls from one to the next."""
    angle = np.linspace(0, 1, len(targets))
    return Labelled(np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32), np.array(targets))


def test_figures_of_a_query_worked_out_by_hand():
    judged = judge_queries(on_a_line([0, 0, 1, 1, 0, 0, 1]))  # the first finds 0 1 1 0 0 1, R = 3
    assert judged.found[0].tolist() == [1, 2, 3, 4, 5, 6, -1]
    assert judged.map_at_r[0] == pytest.approx(1 / 3)
    assert judged.recall_at(1)[0] == 1
    assert judged.precision_at(5)[0] == pytest.approx(3 / 5)
    assert judged.precision_at(10)[0] == pytest.approx(3 / 10)


def test_a_perfect_order_gives_one_and_the_reverse_nothing():
    judged = judge_queries(on_a_line([0] * 4 + [1] * 4))
    assert judged.map_at_r[0] == 1
    backwards = judge_queries(on_a_line([0] + [1] * 4 + [0] * 4))
    assert backwards.map_at_r[0] == 0
    assert (backwards.recall_at(1)[0], backwards.recall_at(5)[0]) == (0, 1)


def test_a_query_alone_in_its_class_has_no_figures():
    judged = judge_queries(on_a_line([0, 1, 1]))
    assert judged.relevant.tolist() == [0, 1, 1]
    assert np.isnan(measure_figures(judged)[0]).all()
    assert np.isfinite(measure_figures(judged)[1:]).all()


def test_macro_counts_every_class_alike_and_leaves_small_ones_out():
    figures, targets = np.array([1.0, 1.0, 1.0, 0.0, 0.5, np.nan]), np.array([0, 0, 0, 1, 2, 2])
    assert macro_average(figures, targets) == pytest.approx(0.5)
    assert macro_average(figures, targets, at_least=3) == 1
    assert np.isnan(macro_average(figures, targets, at_least=4))


@pytest.mark.parametrize("n", range(1, 9))
def test_chance_is_the_mean_over_all_orders(n):
    for relevant in range(1, n + 1):
        orders = [[i in chosen for i in range(n)] for chosen in combinations(range(n), relevant)]
        counts = np.array([n]), np.array([relevant])
        assert chance.expected_map_at_r(*counts)[0] == pytest.approx(
            np.mean([slow.map_at_r(order) for order in orders])
        )
        for k in (1, 5, 10):
            recall = np.mean([slow.recall_at(k, order) for order in orders])
            precision = np.mean([slow.precision_at(k, order) for order in orders])
            assert chance.expected_recall(k, *counts)[0] == pytest.approx(recall)
            assert chance.expected_precision(k, *counts)[0] == pytest.approx(precision)


def test_chance_knows_who_is_left_out():
    rows = Labelled(np.eye(4, dtype=np.float32), np.array([0, 0, 0, 1]), np.array([7, 7, 8, 9]))
    expected = expected_figures(judge_queries(rows))
    names = dict(zip(NAMES, expected.T, strict=True))
    assert names["recall_at_1"][:3].tolist() == [0.5, 0.5, pytest.approx(2 / 3)]
    assert np.isnan(expected[3]).all()
