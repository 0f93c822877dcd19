"""What a model's cosines mean is fitted on the best that the site knows of its photos."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from ml.calibration import pictures
from ml.calibration.calibration import Calibration as Curve
from ml.calibration.files import write_calibration
from ml.exporting.encoder_export import build_encoder_model
from ml.inference.encoders.graph_file import Reading
from recommender import registry
from recommender.models import Calibration, EmbeddingModel
from recommender.registry import calibration
from tests.factories import make_listing, make_ready_image, make_user
from tests.ml.encoder_graphs import SIDE, write_colour_network
from tests.recommender.calibrated import make_certain_curve, store_curve

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


def fill_site(listings, photos=1, categories=("Home / Mugs", "Home / Lamps")):
    sellers = [make_user() for _ in range(12)]
    for number in range(listings):
        category = {"category": categories[number % len(categories)]} if categories else {}
        listing = make_listing(sellers[number % len(sellers)], **category)
        for _ in range(photos):
            make_ready_image(listing)


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


def test_an_encoder_on_a_small_site_is_calibrated_on_drawings(model, enough_drawings):
    row = registry.calibrate(model)
    assert row.basis == "drawings"
    assert read_curve(row).references.shape == (65, model.dim)
    assert "drawings of the demo" in registry.describe_calibration(row)


def test_a_second_time_replaces_the_first(model):
    store_curve(model)
    fill_site(60)
    registry.calibrate(model)
    assert [row.pairs > 1000 for row in Calibration.objects.all()] == [True]


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


def test_registering_calibrates(tmp_path, capsys, enough_drawings):
    path = write_colour_network(tmp_path / "shades.onnx")
    call_command("models", "register", "--encoder", str(path), "--size", str(SIDE))
    said = capsys.readouterr().out
    assert "shades is registered: encoder, 3 dimensions." in said
    assert "Its probabilities were fitted on drawings of the demo" in said
    assert np.isfinite(Calibration.objects.get(model__version="shades").error)
