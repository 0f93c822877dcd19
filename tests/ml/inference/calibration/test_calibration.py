"""What cosines mean: a curve that says how often it is right, measured by each query's own usual cosines."""

import dataclasses

import numpy as np
import pytest

from ml.inference.calibration.blank_pictures import KINDS, draw_blank_picture
from ml.inference.calibration.calibration import Calibration, CalibrationError
from ml.inference.calibration.files import calibration_path, read_calibration, write_calibration
from ml.inference.calibration.fitting import (
    LabelledVectors,
    TellsNothingApart,
    TooFewPairs,
    draw_pairs,
    fit_calibration,
    fit_curve,
    measure_calibration_error,
    score_pairs,
)

DIM = 32


def make_vectors(classes, each, spread, seed, centres=None):
    """`each` unit vectors around every one of `classes` centres, and the names of these."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, DIM)) if centres is None else centres
    vectors = np.repeat(centres, each, axis=0) + spread * rng.normal(size=(classes * each, DIM))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), [f"kind {number}" for number in range(classes) for _ in range(each)]


def make_blanks(seed=9):
    return [make_vectors(1, 30, 0.2, seed + number)[0] for number in range(4)]


@pytest.fixture(scope="module")
def fitted():
    vectors, labels = make_vectors(12, 30, 1.2, seed=1)
    references, _ = make_vectors(100, 1, 1.2, seed=2)
    return fit_calibration(LabelledVectors(vectors, labels), references, make_blanks(), "labels")


def judge(calibration, vectors, labels):
    pairs = draw_pairs(labels, seed=4)
    scores = score_pairs(calibration, vectors, pairs)
    said = 1 / (1 + np.exp(-(calibration.slope * scores + calibration.offset)))
    return measure_calibration_error(said, np.tile(pairs.same, 2))


class TestCurve:
    def test_says_how_often_it_is_right_of_kinds_that_it_was_not_fitted_on(self, fitted):
        assert judge(fitted, *make_vectors(15, 25, 1.2, seed=3)) < 0.05
        assert fitted.error < 0.05
        assert fitted.pairs > 1000

    def test_one_that_is_not_the_models_own_does_not(self, fitted):
        wrong = dataclasses.replace(fitted, offset=fitted.offset + 3)
        assert judge(wrong, *make_vectors(15, 25, 1.2, seed=3)) > 0.15

    def test_is_the_likeliest_of_logistic_curves(self):
        rng = np.random.default_rng(1)
        scores = rng.normal(size=20_000)
        same = rng.random(20_000) < 1 / (1 + np.exp(-(2 * scores - 1)))
        assert fit_curve(scores, same) == pytest.approx((2, -1), abs=0.1)

    @pytest.mark.parametrize(
        ("of_same", "of_others"), [((2, 3), (0, 2)), ((1, 3), (0, 2)), ((4, 1), (0, 1)), ((8, 1), (0, 1))]
    )
    def test_is_found_however_scores_spread(self, of_same, of_others):
        """As sklearn's logistic regression finds it."""
        from sklearn.linear_model import LogisticRegression

        rng = np.random.default_rng(1)
        (mean, spread), (other_mean, other_spread) = of_same, of_others
        scores = np.r_[rng.normal(mean, spread, 20_000), rng.normal(other_mean, other_spread, 20_000)]
        same = np.arange(40_000) < 20_000
        found = LogisticRegression(C=np.inf).fit(scores[:, np.newaxis], same)
        assert fit_curve(scores, same) == pytest.approx((found.coef_[0, 0], found.intercept_[0]), rel=0.05, abs=0.02)

    def test_of_kinds_that_are_told_apart_without_fault_is_finite(self):
        slope, offset = fit_curve(np.r_[np.full(500, -1.0), np.full(500, 1.0)], np.arange(1000) >= 500)
        assert 3 < slope < 20
        assert abs(offset) < 0.1

    @pytest.mark.parametrize("shift", [0.0, -1.0])
    def test_that_would_fall_or_say_nothing_is_refused(self, shift):
        scores = np.random.default_rng(1).normal(size=4_000)
        scores[:2_000] += shift
        with pytest.raises(TellsNothingApart, match="no more alike than photos of different kinds"):
            fit_curve(scores, np.arange(4_000) < 2_000)

    def test_of_wrong_labels_says_what_is_left_to_know(self):
        vectors, labels = make_vectors(20, 30, 1.0, seed=1)
        rng = np.random.default_rng(2)
        wrong = [str(rng.choice(labels)) if rng.random() < 0.3 else label for label in labels]
        found = fit_calibration(
            LabelledVectors(vectors, wrong), make_vectors(50, 1, 1.0, 3)[0], make_blanks(), "labels"
        )
        assert 0 < found.slope < 5
        assert found.error < 0.1

    def test_error_is_not_told_where_nothing_is_left_to_judge_by(self):
        vectors, labels = make_vectors(5, 60, 1.2, seed=1)
        groups = [f"seller {number % 3}" for number in range(len(labels))]
        found = fit_calibration(
            LabelledVectors(vectors, labels, groups), make_vectors(50, 1, 1.0, 3)[0], make_blanks(), "labels"
        )
        assert found.error is None
        assert Calibration.from_bytes(found.to_bytes()).error is None


class TestPairs:
    def test_are_half_of_the_same_kind_and_never_of_one_group(self):
        labels, groups = ["a"] * 20 + ["b"] * 20, [str(number % 8) for number in range(40)]
        pairs = draw_pairs(labels, groups)
        assert pairs.same.sum() * 2 == len(pairs.same) > 0
        assert all(groups[one] != groups[other] for one, other in zip(pairs.first, pairs.second, strict=True))
        assert [labels[one] == labels[other] for one, other in zip(pairs.first, pairs.second, strict=True)] == list(
            pairs.same
        )

    @pytest.mark.parametrize("labels", [["a"] * 50, [str(number) for number in range(50)], []])
    def test_too_few_are_refused_with_their_number(self, labels):
        vectors = make_vectors(1, max(1, len(labels)), 1.0, 1)[0][: len(labels)]
        with pytest.raises(TooFewPairs, match=rf"Of {len(labels)} photos only 0 pairs"):
            fit_calibration(LabelledVectors(vectors, labels), make_vectors(9, 1, 1, 2)[0], make_blanks(), "labels")


class TestQuery:
    def test_probabilities_rise_with_cosines_and_can_be_asked_back(self, fitted):
        scale = fitted.scale_query(make_vectors(1, 2, 1.0, seed=7)[0])
        found = scale.compute_probabilities(np.linspace(-1, 1, 50))
        assert (np.diff(found) > 0).all()
        for probability in (0.05, 0.5, 0.99):
            least = scale.find_least_cosine(probability)
            assert scale.compute_probabilities(least) == pytest.approx(probability)
        assert (scale.find_least_cosine(0), scale.find_least_cosine(1)) == (-np.inf, np.inf)

    def test_what_shows_nothing_is_like_nothing(self, fitted):
        blank = make_blanks()[2][:3]
        scale = fitted.scale_query(blank)
        assert scale.is_blank
        assert scale.compute_probabilities([1.0, 0.5]).tolist() == [0, 0]
        assert scale.find_least_cosine(0.01) == np.inf
        assert not fitted.scale_query(make_vectors(5, 1, 1.0, seed=8)[0]).is_blank

    def test_a_blank_photo_beside_others_does_not_count(self, fitted):
        photos = make_vectors(2, 1, 1.0, seed=8)[0]
        with_blank = np.concatenate([photos, make_blanks()[0][:1]])
        assert fitted.scale_query(with_blank) == fitted.scale_query(photos)

    def test_vectors_of_another_length_are_refused(self, fitted):
        with pytest.raises(CalibrationError, match="Vectors of 8 dimensions cannot be judged by a curve of 32"):
            fitted.scale_query(np.ones((1, 8), np.float32))


class TestFile:
    def test_comes_back_as_it_was_but_for_halves(self, fitted, tmp_path):
        weights = tmp_path / "weights.safetensors"
        assert read_calibration(weights) is None
        write_calibration(weights, fitted)
        found = read_calibration(weights)
        names = ("slope", "offset", "blank_limit", "basis", "pairs", "error")
        assert [getattr(found, name) for name in names] == [getattr(fitted, name) for name in names]
        assert found.references == pytest.approx(fitted.references, abs=1e-3)

    @pytest.mark.parametrize("damage", [b"", b"no numbers", None])
    def test_one_that_is_damaged_is_named(self, fitted, tmp_path, damage):
        weights = tmp_path / "weights.safetensors"
        write_calibration(weights, fitted)
        whole = calibration_path(weights).read_bytes()
        calibration_path(weights).write_bytes(whole[: len(whole) // 2] if damage is None else damage)
        with pytest.raises(CalibrationError, match=r"weights\.calibration\.npz: .* is damaged"):
            read_calibration(weights)


@pytest.mark.parametrize("kind", KINDS)
def test_blank_pictures_are_the_same_for_the_same_seed_and_differ_else(kind):
    one, again, other = (np.asarray(draw_blank_picture(kind, seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert one.shape != other.shape or not np.array_equal(one, other)


def test_the_starters_curve_is_of_its_vectors():
    from ml.network.weights import STARTER, load_network

    shape = load_network("starter").architecture
    curve = read_calibration(STARTER)
    assert isinstance(curve, Calibration)
    assert (curve.references.shape[1], curve.basis) == (shape.dim, "shipped")
    assert np.linalg.norm(curve.references, axis=1) == pytest.approx(1, abs=0.01)
