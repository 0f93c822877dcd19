"""Whole evaluations of drawn pictures: what is judged, what is left out, and what floor stands beside it."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.evaluation.comparison import compare_models
from ml.evaluation.evaluate import evaluate_model
from ml.evaluation.histogram import HistogramEmbedder
from ml.evaluation.metrics import Labelled, judge_queries, macro_average
from ml.evaluation.pictures import EvaluationError
from ml.folders.extraction import extract_vectors
from ml.folders.photo_set import PhotoSet
from tests.ml.drawn_classes import COLOURS, Brightness, MeanColour, drawn
from tests.ml.pictures import quarters

CLOTHING = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "clothing"


def with_picture(photos, path, label):
    return PhotoSet((*photos.images, path), (*photos.labels, label))


def test_a_model_that_knows_the_classes_finds_everything_and_stands_beside_its_floor(tmp_path):
    found = evaluate_model(drawn(tmp_path), MeanColour()).as_dict()
    assert found["n"] == 36
    assert found["recall_at_1"] == found["map_at_r"] == {"mean": 1, "low": 1, "high": 1}
    assert (found["macro"]["classes"], found["macro"]["map_at_r"]["mean"]) == (3, 1)
    assert set(found["per_class"]) == set(COLOURS)
    assert found["confusion"] == {name: {name: 12} for name in COLOURS}
    assert found["floor"]["chance"]["recall_at_1"]["mean"] == pytest.approx(11 / 35)
    assert found["floor"]["chance"]["map_at_r"]["mean"] < found["floor"]["histogram"]["map_at_r"]["mean"] <= 1
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_pictures_that_cannot_be_read_are_named_and_the_others_judged(tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 and no more")
    found = evaluate_model(with_picture(drawn(tmp_path), broken, "red"), MeanColour())
    assert found.as_dict()["n"] == 36
    assert [path for path, _ in found.refused_pictures] == [broken]
    assert found.as_dict()["unreadable"][0]["image"] == str(broken)


def test_without_any_readable_picture_there_is_one_sentence(tmp_path):
    for name in "ab":
        (tmp_path / name).write_bytes(b"no picture")
    with pytest.raises(EvaluationError, match=r"None of 2 pictures can be read; the first, .*a: "):
        evaluate_model(PhotoSet((tmp_path / "a", tmp_path / "b"), ("x", "x")), MeanColour())


def test_a_class_of_one_picture_is_told_and_not_averaged(tmp_path):
    lonely = tmp_path / "lonely.png"
    Image.new("RGB", (16, 16), (0, 90, 90)).save(lonely)
    found = evaluate_model(with_picture(drawn(tmp_path), lonely, "teal"), MeanColour())
    assert found.unanswerable_queries_by_class == {"teal": 1}
    assert found.summary.micro.n == 36
    assert "teal" not in found.summary.per_class
    with pytest.raises(EvaluationError, match="two pictures"):
        evaluate_model(PhotoSet((lonely,), ("teal",)), MeanColour())


def test_pictures_of_the_same_group_do_not_count_and_an_empty_group_is_none(tmp_path):
    photos = drawn(tmp_path, each=2)
    assert evaluate_model(photos, MeanColour()).summary.micro["recall_at_1"].mean == 1
    pairs = PhotoSet(photos.images, photos.labels, ("a", "a", "", "", "c", "c"))
    found = evaluate_model(pairs, MeanColour())
    assert found.unanswerable_queries_by_class == {"blue": 2, "red": 2}
    assert found.summary.micro.n == 2


def test_a_query_in_the_gallery_does_not_find_its_own_file(tmp_path):
    gallery = drawn(tmp_path, each=2)
    queries = gallery.subset([0, 2])
    found = evaluate_model(queries, MeanColour(), gallery=gallery)
    assert found.judged.found[:, 0].tolist() == [1, 3]
    assert found.judged.candidates.tolist() == [5, 5]
    assert not found.as_dict()["leave_one_out"]


@pytest.mark.parametrize("is_query", [True, False])
def test_a_file_that_is_listed_twice_is_refused_because_it_would_find_itself(tmp_path, is_query):
    photos = drawn(tmp_path, each=2)
    link = tmp_path / "link.png"
    link.symlink_to(photos.images[1])
    twice, linked = photos.subset([0, 1, 2, 0]), with_picture(photos, link, "red")
    for repeated in (twice, linked):
        queries, gallery = (repeated, None) if is_query else (photos, repeated)
        with pytest.raises(EvaluationError, match=r"\.png is listed twice.*; list it once"):
            evaluate_model(queries, MeanColour(), gallery=gallery)


def test_a_class_that_only_the_gallery_has_is_a_wrong_answer(tmp_path):
    photos = drawn(tmp_path, each=3)
    queries, gallery = photos.subset([0]), photos.subset([4, 5])
    with pytest.raises(EvaluationError, match="another of its class"):
        evaluate_model(queries, MeanColour(), gallery=gallery)
    found = evaluate_model(queries, MeanColour(), gallery=photos.subset([1, 4, 5]))
    assert found.confusion.as_dict() == {"red": {"red": 1}}


def test_a_better_model_is_told_from_a_worse_one_both_ways_round(tmp_path):
    photos = drawn(tmp_path)
    models = {"colour": MeanColour(), "brightness": Brightness()}
    for order in (("colour", "brightness"), ("brightness", "colour")):
        found = compare_models(photos, {name: models[name] for name in order})
        assert found.is_distinguishable
        assert found.verdict.startswith("colour finds better than brightness: macro mAP@R")
        figures = found.as_dict()
        difference = figures["map_at_r"]["mean"] - figures["compared_with"]["map_at_r"]["mean"]
        assert figures["difference"]["map_at_r"]["mean"] == pytest.approx(difference)
        assert (difference > 0) == (order[0] == "colour")


def test_a_model_cannot_be_told_from_itself(tmp_path):
    found = compare_models(drawn(tmp_path, each=3), {"one": MeanColour(), "other": MeanColour()})
    assert not found.is_distinguishable
    assert found.verdict.startswith("one and other cannot be told apart on these pictures: micro mAP@R")


def test_models_are_compared_on_the_pictures_both_can_take(tmp_path):
    class NoRed(MeanColour):
        def embed(self, batch):
            return np.where(batch[:, :1] > 0, np.nan, super().embed(batch))

    found = compare_models(drawn(tmp_path), {"all": MeanColour(), "no red": NoRed()})
    assert found.model.summary.micro.n == found.other.summary.micro.n == 24
    assert len(found.model.refused_pictures) == 12


def test_histograms_compare_colours_quarter_by_quarter():
    histogram = HistogramEmbedder()
    picture = quarters(64, 48)
    turned = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    half = picture.copy()
    half.paste((0, 0, 0), (0, 0, 64, 24))
    vectors = np.stack([histogram.prepare(image) for image in (picture, turned, half, Image.new("RGB", (1, 1)))])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors @ vectors[0], [1, 0, 0.5, 0], atol=1e-6)


@pytest.mark.skipif(not CLOTHING.is_dir(), reason="needs the clothing photos in ../shared")
def test_the_histogram_floor_on_real_clothes_is_the_known_one():
    with (CLOTHING / "splits.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "unseen"]
    photos = PhotoSet(
        tuple(CLOTHING / "images" / f"{row['image']}.jpg" for row in rows), tuple(row["label"] for row in rows)
    )
    found = extract_vectors(photos.images, HistogramEmbedder())
    judged = judge_queries(Labelled(found.vectors, photos.targets()))
    assert macro_average(judged.map_at_r, judged.targets, at_least=10) == pytest.approx(0.0965, abs=0.0005)
