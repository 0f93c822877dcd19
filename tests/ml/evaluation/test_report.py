"""The page is one file that needs nothing else, is bounded, and takes no class name for markup."""

import base64
import io
import re
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from ml.evaluation.comparison import compare_models
from ml.evaluation.confusion import Confusion
from ml.evaluation.evaluate import evaluate_model
from ml.evaluation.report.heat_map import MOST_CLASSES, draw_heat_map
from ml.evaluation.report.page import render_page
from ml.evaluation.report.strips import HITS, MISSES, NEIGHBOURS, choose_hits, choose_misses
from ml.evaluation.report.thumbnails import SIDE, make_thumbnail
from ml.folders.photo_set import PhotoSet
from tests.ml.drawn_classes import Brightness, MeanColour, drawn

HOSTILE = '<img src=x onerror="alert(1)">&'
VOID = {"meta", "img"}


class Balanced(HTMLParser):
    """Fails on markup that is not closed, and collects tags and what they point to."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.links = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)


def parsed(document):
    parser = Balanced()
    parser.feed(document)
    parser.close()
    assert not parser.open
    return parser


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    found = drawn(tmp_path_factory.mktemp("drawn"))
    labels = [HOSTILE if label == "red" else label for label in found.labels]
    labels[-6:] = ["green"] * 6  # so that something is missed
    return PhotoSet(found.images, tuple(labels))


def test_the_page_is_whole_without_network_and_scripts(photos):
    document = render_page(evaluate_model(photos, MeanColour()))
    found = parsed(document)
    assert "script" not in found.tags
    assert found.links
    assert all(link.startswith("data:image/jpeg;base64,") for link in found.links)
    assert not re.search(r"https?://|@import|url\(", document)
    assert 'name="viewport"' in document


def test_class_names_are_text(photos):
    document = render_page(evaluate_model(photos, MeanColour()))
    assert HOSTILE not in document
    assert document.count("&lt;img src=x onerror=&quot;alert(1)&quot;&gt;&amp;") > 3


def test_the_page_shows_hits_misses_floors_and_the_verdict(photos):
    result = compare_models(photos, {"colour": MeanColour(), "<brightness>": Brightness()})
    document = render_page(result)
    for text in ("Worst misses", "Hits", "histogram", "chance", "difference", "&lt;brightness&gt;", "mAP@R"):
        assert text in document
    assert result.verdict.replace("<", "&lt;").replace(">", "&gt;") in document
    assert 'class="right"' in document
    assert 'class="wrong"' in document


def test_misses_have_a_wrong_first_result_and_hits_a_right_one_with_classes_in_turn(photos):
    found = evaluate_model(photos, MeanColour())
    right, wrong = choose_hits(found), choose_misses(found)
    assert found.judged.hits[right, 0].all()
    assert not found.judged.hits[wrong, 0].any()
    assert len(set(found.judged.targets[right[:3]])) == 3
    assert (np.diff(found.judged.map_at_r[right[:3]]) <= 0).all()


def test_where_little_is_right_there_are_few_hits(tmp_path):
    photos = drawn(tmp_path, each=2)
    found = evaluate_model(PhotoSet(photos.images, ("a", "a", "b", "c", "b", "c")), MeanColour())
    assert sorted(choose_hits(found).tolist()) == [0, 1]
    assert sorted(choose_misses(found).tolist()) == [2, 3, 4, 5]


def test_what_could_not_be_read_is_listed_and_a_lost_picture_leaves_a_gap(tmp_path):
    photos = drawn(tmp_path, each=3)
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8")
    found = evaluate_model(PhotoSet((*photos.images, tmp_path / "torn.jpg"), (*photos.labels, "red")), MeanColour())
    photos.images[0].unlink()
    document = render_page(found)
    assert "torn.jpg" in document
    assert "Pictures that could not be read: 1." in document
    assert '<span class="lost" title="red-0.png"></span>' in document


def test_a_thumbnail_of_the_busiest_picture_stays_small(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    pictures = (HITS + MISSES) * (1 + NEIGHBOURS)
    found = make_thumbnail(tmp_path / "noise.png")
    assert len(found) * pictures < 4_000_000
    assert max(Image.open(io.BytesIO(base64.b64decode(found.partition(",")[2]))).size) == SIDE


def test_the_heat_map_is_bounded_and_keeps_the_most_confused():
    counts = Counter({(f"class {i}", f"class {i}"): 9 for i in range(200)})
    counts["class 150", "class 3"] = 1
    picture = draw_heat_map(Confusion(counts))
    assert picture.count("<text") == 2 * MOST_CLASSES
    assert picture.count("<rect") == 1 + MOST_CLASSES + 1
    assert "class 150 → class 3: 1 of 10" in picture


def test_two_hundred_classes_stay_within_five_megabytes(tmp_path):
    rng, images, labels = np.random.default_rng(0), [], []
    for i in range(200):
        for j in range(2):
            images.append(tmp_path / f"{i}-{j}.png")
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((112, 112)).save(images[-1])
            labels.append(f"class {i}")
    document = render_page(evaluate_model(PhotoSet(tuple(images), tuple(labels)), MeanColour()))
    assert len(document.encode()) < 5_000_000
    assert document.count("data:image") <= (HITS + MISSES) * (1 + NEIGHBOURS)
    assert document.count('<td class="bar">') == 200
