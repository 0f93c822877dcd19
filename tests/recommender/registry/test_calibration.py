"""What a model's cosines mean is fitted on the best that the site knows of its photos."""

from __future__ import annotations

import dataclasses
import io
import shutil

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.core.management.base import CommandError
from PIL import Image

from ml.exporting.encoder_export import build_encoder_model
from ml.inference.calibration import pictures
from ml.inference.calibration.calibration import Calibration as Curve
from ml.inference.calibration.files import write_calibration
from ml.inference.encoders.graph_file import Reading
from ml.recipe import Recipe
from recommender import registry
from recommender.models import Calibration, EmbeddingModel
from recommender.registry import calibration
from tests.built_models import share, starter_model_dir
from tests.factories import make_listing, make_ready_image, make_user
from tests.ml.inference.encoder_graphs import SIDE, write_colour_network
from tests.recommender.registered import make_certain_curve, store_curve

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_storage")]
DRAWINGS = 4


@pytest.fixture(autouse=True)
def small(settings, tmp_path, monkeypatch):
    settings.MODELS_ROOT, settings.EMBEDDER_CACHE = tmp_path / "models", tmp_path / "cache"
    monkeypatch.setattr(calibration, "ENOUGH_PHOTOS", 40)
    monkeypatch.setattr(calibration, "DRAWINGS", DRAWINGS)
    monkeypatch.setattr(pictures, "BLANKS_OF_A_KIND", 9)


@pytest.fixture
def enough_drawings(monkeypatch):
    """Five of each kind of thing: pairs of the same kind must be a hundred."""
    monkeypatch.setattr(calibration, "DRAWINGS", 65)


@pytest.fixture
def model(tmp_path, settings):
    """A candidate that knows colours."""
    path = write_colour_network(tmp_path / "colours.onnx")
    recipe = build_encoder_model(settings.MODELS_ROOT / "colours", "colours", str(path), reading=Reading(SIDE))
    return EmbeddingModel.objects.create(
        version="colours",
        arch="encoder",
        dim=recipe.dim,
        recipe=recipe.as_dict(),
        checkpoint="colours",
        sha256=recipe.sha256,
    )


COLOURS = {"Home / Mugs": (190, 60, 40), "Home / Lamps": (50, 70, 190), "Home / Plants": (60, 170, 60)}


def fill_site(listings, photos=1, categories=tuple(COLOURS), seen=True):
    """Listings by twelve people, whose photos have the colour of their category, or any where it cannot be seen."""
    sellers = [make_user() for _ in range(12)]
    dice = np.random.default_rng(1)
    for number in range(listings):
        category = {"category": categories[number % len(categories)]} if categories else {}
        listing = make_listing(sellers[number % len(sellers)], **category)
        colour = np.array(list(COLOURS.values())[number % len(COLOURS)] if seen else dice.integers(0, 256, 3))
        for _ in range(photos):
            image = make_ready_image(listing)
            image.clean_file.save("clean.jpg", ContentFile(draw(colour + dice.normal(0, 25, 3))))


def draw(colour):
    pixels = np.full((72, 96, 3), np.clip(colour, 0, 255))
    pixels[::6] = 255
    out = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(out, "JPEG", quality=90)
    return out.getvalue()


def read_curve(row):
    return Curve.from_bytes(bytes(row.data))


def test_categories_say_which_photos_show_the_same_kind(model):
    fill_site(60)
    row = registry.calibrate(model)
    assert row.basis == "labels"
    assert row.pairs >= 200
    curve = read_curve(row)
    assert len(curve.references) == 60 + DRAWINGS
    assert "photos of the site and their categories" in registry.describe_calibration(row)


def test_listings_do_where_nobody_gave_categories(model):
    fill_site(40, photos=3, categories=())
    row = registry.calibrate(model)
    assert row.basis == "listings"
    assert "for want of categories" in registry.describe_calibration(row)


def test_a_small_site_takes_the_curve_that_came_with_the_weights(model):
    shipped = dataclasses.replace(make_certain_curve(model.dim), basis="shipped")
    write_calibration(model.directory / "weights.safetensors", shipped)
    fill_site(3)
    row = registry.calibrate(model)
    assert (row.basis, row.pairs, read_curve(row).offset) == ("shipped", 1000, 20.0)


def test_categories_that_cannot_be_seen_are_passed_over(model):
    """As sizes or conditions are: which photos belong to one listing tells more."""
    fill_site(40, photos=3, seen=False)
    assert registry.calibrate(model).basis == "listings"


@pytest.fixture
def starter(settings):
    """A candidate that knows things, as it is without the curve that came with it."""
    shutil.copytree(
        starter_model_dir(),
        settings.MODELS_ROOT / "bare",
        ignore=shutil.ignore_patterns("*calibration*"),
        copy_function=share,
    )
    recipe = Recipe.read(settings.MODELS_ROOT / "bare")
    return EmbeddingModel.objects.create(
        version="bare",
        arch=recipe.arch,
        dim=recipe.dim,
        recipe=recipe.as_dict(),
        checkpoint="bare",
        sha256=recipe.sha256,
    )


def test_a_model_that_brings_no_curve_to_a_small_site_is_calibrated_on_drawings(starter, enough_drawings):
    row = registry.calibrate(starter)
    assert row.basis == "drawings"
    assert read_curve(row).references.shape == (65, starter.dim)
    assert "drawings of the demo" in registry.describe_calibration(row)


def test_a_second_time_replaces_the_first(model):
    store_curve(model)
    fill_site(60)
    registry.calibrate(model)
    assert [row.pairs != 1000 for row in Calibration.objects.all()] == [True]


def test_photos_that_are_lost_are_passed_over(model):
    fill_site(60)
    from listings.models import ListingImage

    for image in ListingImage.objects.all()[:5]:
        image.clean_file.delete(save=False)
    assert len(read_curve(registry.calibrate(model)).references) == 55 + DRAWINGS


def test_the_command_fits_anew_and_says_on_what(model, capsys):
    fill_site(60)
    call_command("models", "calibrate", "colours")
    assert "were fitted on photos of the site and their categories: " in capsys.readouterr().out


def test_the_command_names_what_is_missing(model, settings):
    (model.directory / "embedder.bin").write_bytes(b"damaged")
    with pytest.raises(CommandError, match=r"colours cannot be calibrated: .*embedder\.bin is damaged"):
        call_command("models", "calibrate", "colours")


def test_registering_calibrates(tmp_path, capsys):
    fill_site(60)
    path = write_colour_network(tmp_path / "shades.onnx")
    call_command("models", "register", "--encoder", str(path), "--size", str(SIDE))
    said = capsys.readouterr().out
    assert "shades is registered: encoder, 16 dimensions." in said
    assert "Its vectors are made of " in said
    assert "Its probabilities were fitted on photos of the site and their categories" in said
    assert np.isfinite(Calibration.objects.get(model__version="shades").error)


def test_a_model_that_tells_nothing_apart_is_registered_and_says_so(tmp_path, capsys, caplog, monkeypatch):
    monkeypatch.setattr(calibration, "DRAWINGS", 65)
    path = write_colour_network(tmp_path / "shades.onnx")
    call_command("models", "register", "--encoder", str(path), "--size", str(SIDE))
    assert "shades is not calibrated" in caplog.text
    assert "no more alike than photos of different kinds" in caplog.text
    assert "`manage.py models calibrate shades`" in capsys.readouterr().err
    assert EmbeddingModel.objects.get(version="shades").state == "candidate"
