"""A search through an inverted file finds what comparing all rows would, whatever filter there is, and says how."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from recommender.index.ann import calibration, dot_products
from recommender.index.ann.ivf import Ivf
from recommender.index.ann.probing import EXACT_WITHIN_MICROSECONDS, Costs, SearchParams, Tail, Tuning
from recommender.index.ann.recall import recall_of_similarities
from recommender.index.rows.row_bitmap import RowBitmap
from recommender.index.rows.vector_file import VectorFile
from recommender.index.storage.segment import open_segment
from tests.recommender.index.segments import clustered, everything, write

ROWS, DIM, K = 12_000, 64, 10
# Of a machine so slow at comparing rows that codes are worth it for few of them.
SLOW = Costs(per_list=1.0, per_code=0.01, per_row=20.0, per_selected=0.003)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A segment tuned by this machine's costs (`measured`), one tuned by others (`slow`), that one with a first look at
    few lists and few candidates (`narrow`), and `queries`."""
    directory = tmp_path_factory.mktemp("probing")
    vectors = clustered(ROWS, DIM, noise=0.4)
    write(directory / "measured", vectors)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "_measure_costs", lambda *_: SLOW)
        write(directory / "slow", vectors)
    measured, slow = open_segment(directory / "measured", "m1"), open_segment(directory / "slow", "m1")
    few = SearchParams(lists=4, tolerance=0.02, depth=400)
    narrow = replace(slow, tuning=replace(slow.tuning, filtered=few, far=few))
    middles = vectors[:40].astype(float) + vectors[40:80]
    queries = (middles / np.linalg.norm(middles, axis=1, keepdims=True)).astype(np.float16)
    products = queries.astype(float) @ vectors.T
    return SimpleNamespace(measured=measured, slow=slow, narrow=narrow, queries=queries, products=products)


def chosen_rows(kind, segment, query, share):
    """bool[n]: a share of the rows, anywhere, or of the neighbourhoods nearest to the query or farthest from it."""
    random = np.random.default_rng(query.view(np.uint16)).random(ROWS)
    if kind == "random":
        return random < share
    closeness = (segment.ivf.centroids @ segment.ivf.rotate_query(query)[0])[segment.ivf.list_of]
    order = np.lexsort((random, -closeness if kind == "near" else closeness))
    return np.isin(np.arange(ROWS), order[: int(ROWS * share)])


@pytest.mark.parametrize(
    ("share", "costs"),
    [(0.5, "measured"), (0.1, "measured"), (0.01, "measured"), (0.5, "slow"), (0.1, "narrow"), (0.01, "slow")],
)
@pytest.mark.parametrize("kind", ["random", "near", "far"])
def test_a_filter_leaves_the_recall_high_wherever_its_rows_are(made, kind, share, costs):
    segment, recall, how = getattr(made, costs), [], set()
    for query in made.queries:
        selection = RowBitmap(chosen_rows(kind, segment, query, share))
        similarity, rows, step = segment.find_nearest_rows(query, K, selection)
        truth, _, _ = segment.find_nearest_rows(query, K, selection, exact=True)
        assert selection.mask[rows].all()
        recall.append(recall_of_similarities(similarity, truth))
        how.add(step.how)
    assert np.mean(recall) >= 0.95
    if costs != "measured":
        assert how == {"codes" if share > 0.01 else "exact"}


@pytest.mark.parametrize("costs", ["measured", "slow"])
def test_a_search_of_all_rows_has_the_recall_that_was_aimed_at(made, costs):
    segment = getattr(made, costs)
    recall = [
        recall_of_similarities(
            segment.find_nearest_rows(query, K, everything(ROWS))[0], np.sort(products)[::-1][:K].astype(np.float32)
        )
        for query, products in zip(made.queries, made.products, strict=True)
    ]
    assert np.mean(recall) >= 0.97


def test_more_results_are_chosen_from_more_candidates(made):
    recall = []
    for query, products in zip(made.queries, made.products, strict=True):
        similarity, _, step = made.slow.find_nearest_rows(query, 100, everything(ROWS))
        recall.append(recall_of_similarities(similarity, np.sort(products)[::-1][:100].astype(np.float32)))
        assert step.how == "codes"
        assert step.compared >= 4 * 90
    assert np.mean(recall) >= 0.95


@profile(deadline=None, max_examples=120)
@given(
    seed=st.integers(0, 10_000),
    share=st.sampled_from([1.0, 0.95, 0.5, 0.1, 0.01, 0.001, 0.0]) | st.floats(0, 1),
    k=st.integers(1, 400),
    number=st.integers(0, 39),
    costs=st.sampled_from(["measured", "slow", "narrow"]),
    lists=st.none() | st.integers(1, 5),
)
def test_as_many_are_found_as_were_asked_for_or_are_there(made, seed, share, k, number, costs, lists):
    segment, query = getattr(made, costs), made.queries[number]
    random = np.random.default_rng(seed)
    mask = random.random(ROWS) < share
    if lists is not None:  # and only in a few lists, which may be far away
        mask &= np.isin(segment.ivf.list_of, random.integers(segment.ivf.list_count, size=lists))
    similarity, rows, step = segment.find_nearest_rows(query, k, RowBitmap(mask))
    assert len(rows) == len(similarity) == min(k, mask.sum())
    assert len(np.unique(rows)) == len(rows)
    assert mask[rows].all()
    assert np.allclose(similarity, made.products[number][rows], atol=1e-5)
    assert (np.diff(similarity) <= 0).all()
    assert step.selected == mask.sum()


@profile(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.floats(0, 1), st.integers(0, 400), st.integers(0, 39))
def test_an_exact_search_finds_what_brute_force_finds(made, seed, share, k, number):
    mask = np.random.default_rng(seed).random(ROWS) < share
    selection = RowBitmap(mask)
    similarity, rows, step = made.slow.find_nearest_rows(made.queries[number], k, selection, exact=True)
    best = np.sort(made.products[number][mask])[::-1][:k]
    assert np.allclose(similarity, best, atol=1e-5)
    assert np.allclose(made.products[number][rows], best, atol=1e-5)
    assert len(np.unique(rows)) == len(rows)
    assert mask[rows].all()
    assert (step.how, step.compared, step.lists) == ("exact", selection.count, 0)


def test_a_search_of_all_rows_reads_codes_and_says_how_many_lists(made):
    tuning = made.slow.tuning
    for query in made.queries:
        step = made.slow.find_nearest_rows(query, K, everything(ROWS))[2]
        assert (step.how, step.selected) == ("codes", ROWS)
        assert tuning.plain.lists <= step.lists <= made.slow.ivf.list_count
        assert K <= step.compared < ROWS
        assert vars(step) == {"how": "codes", "selected": ROWS, "compared": step.compared, "lists": step.lists}


def test_few_selected_rows_are_all_compared(made):
    few = int(EXACT_WITHIN_MICROSECONDS / SLOW.per_row)
    for count, how in ((few, "exact"), (few * 40, "codes")):
        selection = RowBitmap.from_rows(np.arange(0, ROWS, 2)[:count], ROWS)
        step = made.slow.find_nearest_rows(made.queries[0], K, selection)[2]
        assert (step.how, step.selected) == (how, count)
        assert (step.lists == 0, step.compared == count) == (how == "exact", how == "exact")


def test_rows_are_compared_where_that_is_no_slower_than_reading_codes(made):
    fast = replace(made.slow, tuning=replace(made.slow.tuning, costs=replace(SLOW, per_row=1e-6)))
    assert fast.find_nearest_rows(made.queries[0], K, everything(ROWS))[2].how == "exact"


def test_only_selected_rows_of_the_lists_are_compared_where_they_are_fewer_than_codes_would_promise(made, monkeypatch):
    monkeypatch.setattr(Ivf, "scan_lists", None)
    dear_codes = replace(made.slow, tuning=replace(made.slow.tuning, costs=replace(SLOW, per_code=1.0)))
    selection = RowBitmap(np.random.default_rng(0).random(ROWS) < 0.02)
    _, rows, step = dear_codes.find_nearest_rows(made.queries[0], 1, selection)
    assert (step.how, len(rows)) == ("codes", 1)
    assert step.lists > 0
    assert 1 <= step.compared < selection.count


def test_a_filter_that_leaves_nothing_near_makes_the_search_look_into_more_lists(made):
    wider = []
    for query in made.queries:
        asked = {kind: RowBitmap(chosen_rows(kind, made.narrow, query, 0.5)) for kind in ("near", "far")}
        looked = {kind: made.narrow.find_nearest_rows(query, K, rows)[2].lists for kind, rows in asked.items()}
        wider.append(looked["far"] > looked["near"])
    assert np.mean(wider) > 0.9


def test_all_is_compared_where_codes_give_fewer_than_were_asked_for(made, monkeypatch):
    real = Ivf.scan_lists
    monkeypatch.setattr(Ivf, "scan_lists", lambda *arguments: real(*arguments)[:3])
    similarity, _, step = made.slow.find_nearest_rows(made.queries[0], K, everything(ROWS))
    assert step.how == "exact"
    assert np.allclose(similarity, np.sort(made.products[0])[::-1][:K], atol=1e-5)


def test_the_tail_is_the_share_of_rows_that_are_so_much_nearer_than_their_centroid(made):
    segment, tail = made.measured, made.measured.tuning.tail
    pairs = np.stack([np.arange(40), np.arange(40, 80)], axis=1)
    stored = VectorFile(segment.directory / "vectors.f16", len(segment), segment.dim)
    learnt = calibration._measure_tail(segment.ivf, stored, made.queries, pairs)
    closeness = made.queries.astype(np.float32) @ segment.ivf.rotation @ segment.ivf.centroids.T
    z = (made.products - closeness[:, segment.ivf.list_of]) / segment.ivf.residual_rms[segment.ivf.list_of]
    for query, pair in enumerate(pairs):
        z[query, pair] = np.nan
    z = z[~np.isnan(z)]
    grid = np.array(learnt.grid)
    empirical = np.array([(z >= point).mean() for point in grid])
    assert np.allclose(learnt(grid), learnt.share, rtol=1e-9)
    assert np.allclose(learnt.share, empirical, rtol=1e-3, atol=2 / len(z))
    for one in (tail, learnt):
        assert (np.diff(one(np.linspace(-30, 30, 3_000))) <= 0).all()


@profile(deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 3), st.floats(0.001, 3)), min_size=1, max_size=30))
def test_a_tail_falls_from_one_and_on_beyond_its_grid(steps):
    grid, falls = np.cumsum(np.array(steps), axis=0).T
    tail = Tail(tuple(grid.tolist()), tuple(np.exp(-(falls - falls[0])).tolist()))
    assert np.allclose(tail(grid), tail.share, rtol=1e-9)
    along = tail(np.linspace(grid[0] - 5, grid[-1] + 50, 400))
    assert along[0] == 1
    assert (np.diff(along) <= 1e-12).all()
    if len(steps) >= 10:
        assert tail(grid[-1] + 1.0) < tail.share[-1]
        once, twice = (float(tail(grid[-1] + step) / tail.share[-1]) for step in (0.01, 0.02))
        assert twice == pytest.approx(once**2, rel=1e-6)


def test_a_tuning_survives_its_manifest(made):
    tuning = made.measured.tuning
    assert Tuning.from_dict(json.loads(json.dumps(tuning.as_dict()))) == tuning


@pytest.mark.parametrize("missing", ["tail", "costs", "plain", "filtered"])
def test_a_tuning_that_lacks_something_is_refused(made, missing):
    values = made.measured.tuning.as_dict()
    with pytest.raises(KeyError):
        Tuning.from_dict({name: value for name, value in values.items() if name != missing})
    with pytest.raises((KeyError, TypeError)):
        Tuning.from_dict(values | {missing: {}})


def test_a_tuning_of_an_earlier_version_searches_far_rows_as_it_did_then(made):
    values = made.measured.tuning.as_dict()
    del values["far"]
    assert Tuning.from_dict(values) == replace(made.measured.tuning, far=made.measured.tuning.filtered)


@pytest.mark.parametrize(
    ("kind", "share", "name"),
    [
        *(("far", share, "plain") for share in (1.0, 0.9)),
        *(("far", share, "filtered") for share in (0.89, 0.5)),
        *(("far", share, "far") for share in (0.1, 0.02)),
        *((kind, share, "filtered") for share in (0.89, 0.1, 0.05) for kind in ("near", "random")),
    ],
)
def test_a_search_is_tuned_by_how_many_rows_pass_and_by_how_far_they_are(made, kind, share, name):
    depths = {"plain": 201, "filtered": 202, "far": 203}
    tuning = replace(made.slow.tuning, **{one: SearchParams(4, 0.5, depth) for one, depth in depths.items()})
    asked = []

    class Watched(Ivf):
        def scan_lists(self, rotated, lists, closeness, depth, selection):
            asked.append(depth)
            return super().scan_lists(rotated, lists, closeness, depth, selection)

    segment = replace(made.slow, tuning=tuning, ivf=Watched(**vars(made.slow.ivf)))
    for query in made.queries[:5]:
        segment.find_nearest_rows(query, K, RowBitmap(chosen_rows(kind, segment, query, share)))
    assert set(asked) == {depths[name]}


def test_similarities_are_those_of_the_vectors_and_not_of_their_codes(made):
    similarity, rows, _ = made.slow.find_nearest_rows(made.queries[0], K, everything(ROWS))
    assert np.array_equal(similarity, dot_products.inner_products(made.queries[:1], made.slow.vectors, rows)[0])
