"""An inverted file is measured against the exact truth on unseen queries, and tuned to what the target needs."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.index.ann import calibration, ivf
from recommender.index.ann.calibration import (
    DEPTHS,
    FAR_DEPTHS,
    LISTS,
    TOLERANCES,
    calibrate_ivf,
    find_least_sufficient_value,
)
from recommender.index.ann.dot_products import nearest_rows
from recommender.index.ann.held_out_queries import Group, find_far_lists, pair_midpoints, true_similarities
from recommender.index.ann.probing import MEASURED_K, Probe
from recommender.index.ann.recall import recall_of_similarities
from recommender.index.rows.row_bitmap import RowBitmap
from recommender.index.rows.vector_file import VectorFile
from tests.recommender.index.segments import clustered, put

ROWS, DIM, QUERIES, LISTS_BUILT = 5_000, 32, 60, 40


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An inverted file, its vectors, rows that it was not trained on, their pairs and the midpoints of these."""
    directory = tmp_path_factory.mktemp("calibration")
    vectors = clustered(ROWS, DIM)
    put(directory, vectors)
    file = VectorFile(directory / "v", ROWS, DIM)
    left_out = np.sort(np.random.default_rng(0).choice(ROWS, QUERIES, replace=False))
    ivf.build_ivf(directory, file, LISTS_BUILT, np.setdiff1d(np.arange(ROWS), left_out), 1, lambda: None)
    pairs = np.stack([left_out, np.roll(left_out, 1)], axis=1)
    return SimpleNamespace(
        ivf=ivf.open_ivf(directory, ROWS, DIM),
        file=file,
        vectors=vectors,
        left_out=left_out,
        pairs=pairs,
        asked=pair_midpoints(file, pairs),
    )


def judge(made, target, told=None, memory=1 << 30):
    tick = (lambda: None) if told is None else (lambda: told.append(1))
    return calibrate_ivf(made.ivf, made.file, made.left_out, target=target, memory=memory, tick=tick)


@given(st.lists(st.integers(), min_size=1, max_size=40, unique=True), st.integers(0, 40))
def test_the_first_that_suffices_is_the_one_that_asking_each_would_give(values, threshold):
    asked = []

    def suffices(value):
        asked.append(value)
        return values.index(value) >= threshold

    expected = next((value for place, value in enumerate(values) if place >= threshold), values[-1])
    assert find_least_sufficient_value(values, suffices) == expected
    assert len(asked) <= len(values).bit_length()


def test_midpoints_are_as_near_to_one_row_as_to_the_other(made):
    wide, vectors = made.asked.astype(float), made.vectors.astype(float)
    assert np.allclose(np.linalg.norm(wide, axis=1), 1, atol=2e-3)
    first, second = ((wide * vectors[made.pairs[:, side]]).sum(axis=1) for side in (0, 1))
    assert np.allclose(first, second, atol=5e-3)
    assert (first > (vectors[made.pairs[:, 0]] * vectors[made.pairs[:, 1]]).sum(axis=1) - 1e-3).all()


def test_rows_that_point_away_from_each_other_have_a_midpoint_that_is_a_number(tmp_path):
    row = clustered(1)[0]
    put(tmp_path, np.stack([row, -row]))
    assert np.isfinite(pair_midpoints(VectorFile(tmp_path / "v", 2, len(row)), np.array([[0, 1]]))).all()


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01])
def test_the_far_lists_hold_their_share_of_the_rows_and_none_is_nearer_than_one_that_is_left(made, share):
    far = find_far_lists(made.ivf, made.asked, share)
    for query, chosen in zip(made.asked, far, strict=True):
        closeness = made.ivf.centroids @ made.ivf.rotate_query(query)[0]
        assert closeness[chosen].max() <= closeness[~chosen].min()
        held = made.ivf.sizes[chosen].sum()
        assert ROWS * share <= held <= ROWS * share + made.ivf.sizes.max()


@pytest.mark.parametrize("block", [700, 32_768])
def test_the_truth_is_what_brute_force_finds_among_all_rows_but_the_own_pair(made, monkeypatch, block):
    blocks = VectorFile.iterate_blocks
    monkeypatch.setattr(VectorFile, "iterate_blocks", lambda file, _: blocks(file, block))
    groups, told = [Group(range(QUERIES))], []
    for numbers, share in ((range(20), 0.5), (range(20, 25), 0.1)):
        groups.append(Group(numbers, find_far_lists(made.ivf, made.asked[numbers], share)))
    found = true_similarities(made.ivf, made.file, made.pairs, made.asked, groups, lambda: told.append(1))
    assert ([*map(len, found)], len(told)) == ([QUERIES, 20, 5], -(-ROWS // block))
    exact = made.asked.astype(float) @ made.vectors.astype(float).T
    for number, products in enumerate(exact):
        others = np.setdiff1d(np.arange(ROWS), made.pairs[number])
        for group, best in zip(groups, found, strict=True):
            if number in group.numbers:
                place, passing = group.numbers.index(number), others
                if group.lists is not None:
                    passing = others[group.lists[place][made.ivf.list_of[others]]]
                assert np.allclose(best[place], np.sort(products[passing])[::-1][:MEASURED_K], atol=1e-5)


def test_a_query_is_searched_among_all_rows_but_its_own_pair_and_among_those_far_from_it(made, monkeypatch):
    searched = []

    class Watched(Probe):
        def __init__(self, opened, vectors, tuning, query, selection, *, codes_only):
            assert codes_only, "comparing rows would find all, whatever the effort"
            searched.append((query, selection.mask))
            super().__init__(opened, vectors, tuning, query, selection, codes_only=True)

    monkeypatch.setattr(calibration, "Probe", Watched)
    judge(made, 0.9)
    far_from = partial(find_far_lists, made.ivf)
    alone = made.vectors[made.left_out]
    expected = {
        "midpoints, all rows": (made.asked, made.pairs, np.ones((QUERIES, LISTS_BUILT), bool)),
        "midpoints, far half": (made.asked, made.pairs, far_from(made.asked, 0.5)),
        "rows, far tenth": (alone, made.left_out, far_from(alone, 0.1)),
        "rows, far hundredth": (alone, made.left_out, far_from(alone, 0.01)),
    }
    allowed = {}
    for kind, (queries, own, lists) in expected.items():
        for query, rows, chosen in zip(queries, own, lists, strict=True):
            mask = chosen[made.ivf.list_of]
            mask[rows] = False
            allowed[query.tobytes(), mask.tobytes()] = kind
    assert {allowed[query.tobytes(), mask.tobytes()] for query, mask in searched} == expected.keys()


def tried(judged, rows, **values):
    return [one for one in judged.curve if one["rows"] == rows and values.items() <= one.items()]


def test_the_effort_is_the_least_that_reaches_the_target_with_its_margin(made):
    target = 0.95
    told: list[None] = []
    judged = judge(made, target, told)
    plain, counts = judged.tuning.plain, [count for count in LISTS if count < LISTS_BUILT]
    enough = target + calibration.PLAIN_MARGIN * (1 - target)
    assert judged.recall >= enough
    assert judged.filtered_recall >= target + calibration.FILTERED_MARGIN * (1 - target)
    assert plain.lists in counts
    for lists in counts[: counts.index(plain.lists)][-1:]:
        (before,) = tried(judged, "all", lists=lists, depth=DEPTHS[-1])
        assert before["recall"] < enough
    assert judged.tuning.filtered.lists == plain.lists
    chosen = tried(judged, "all", lists=plain.lists, depth=plain.depth)
    assert chosen[-1]["recall"] == pytest.approx(judged.recall, abs=1e-4)
    assert len(told) > len(judged.curve)


def test_a_target_that_is_out_of_reach_takes_the_greatest_effort(made):
    judged = judge(made, 1.5)
    counts = [count for count in LISTS if count < LISTS_BUILT]
    assert (judged.tuning.plain.lists, judged.tuning.plain.depth) == (counts[-1], DEPTHS[-1])
    filtered = judged.tuning.filtered
    assert (filtered.lists, filtered.tolerance, filtered.depth) == (counts[-1], TOLERANCES[-1], DEPTHS[-1])
    far = judged.tuning.far
    assert (far.lists, far.tolerance, far.depth) == (counts[-1], TOLERANCES[-1], FAR_DEPTHS[-1])
    assert judged.recall <= 1


def test_a_target_that_is_always_reached_takes_the_least_effort(made):
    judged = judge(made, -20.0)
    assert (judged.tuning.plain.lists, judged.tuning.plain.depth) == (LISTS[0], DEPTHS[0])
    for filtered in (judged.tuning.filtered, judged.tuning.far):
        assert (filtered.tolerance, filtered.depth) == (TOLERANCES[0], DEPTHS[0])


def recall_among_the_far_tenth(made, tuning):
    """Of codes alone, over rows as queries."""
    asked, found = made.vectors[::125], []
    for query, lists in zip(asked, find_far_lists(made.ivf, asked, 0.1), strict=True):
        selection = RowBitmap(lists[made.ivf.list_of])
        similarity, _, _ = Probe(made.ivf, made.vectors, tuning, query, selection, codes_only=True).find_nearest_rows(
            10
        )
        found.append(recall_of_similarities(similarity, nearest_rows(query, made.vectors, selection, 10)[0]))
    return np.mean(found)


def test_a_filter_that_leaves_only_far_rows_has_the_recall_that_is_wanted_also_where_others_need_less(
    made, monkeypatch
):
    monkeypatch.setattr(calibration, "DEPTHS", (50,))
    judged = judge(made, 0.98)
    tuning = judged.tuning
    assert tuning.filtered.depth == 50
    assert recall_among_the_far_tenth(made, replace(tuning, far=tuning.filtered)) < 0.98
    assert recall_among_the_far_tenth(made, tuning) >= 0.98
    assert tried(judged, "farthest", depth=tuning.far.depth)[-1]["recall"] >= 0.98


def test_costs_are_measured_and_positive(made):
    costs = judge(made, 0.9).tuning.costs
    assert all(0 < cost < 1e5 for cost in (costs.per_list, costs.per_code, costs.per_row, costs.per_selected))


def test_pages_of_compared_rows_are_let_go_when_they_outgrow_the_memory(made, monkeypatch):
    mapped, let_go, run = [0], [], Probe.find_nearest_rows

    def map_around(probe, k):
        found = run(probe, k)
        mapped[0] += 1_000 * found[2].compared
        return found

    def forget(vectors):
        let_go.append(mapped[0])
        mapped[0] = 0

    monkeypatch.setattr(Probe, "find_nearest_rows", map_around)
    monkeypatch.setattr(calibration, "mapped_bytes", lambda: mapped[0])
    monkeypatch.setattr(calibration, "release_pages", forget)
    roomy = judge(made, 0.95)
    assert let_go == [0]  # once costs were measured
    mapped[0] = 0
    let_go.clear()
    memory = ROWS * 1_000
    assert judge(made, 0.95, memory=memory).recall == roomy.recall
    assert len(let_go) > 1
    assert all(memory < held <= 2 * memory for held in let_go[1:])
