"""The starter weights that are shipped, and the parts of what makes them, on pictures drawn here."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image

from listings.demo.drawing import KINDS, draw_photo
from ml.inference.arrays import resize_and_crop
from ml.network import resnet
from ml.network.item_mask import SIDE
from ml.network.resnet import Architecture, UnitLength, normalise_pixels
from ml.network.weights import STARTER, read_weights, write_weights
from ml.starter.__main__ import main
from ml.starter.colouring import whiten_and_add_colours
from ml.starter.items import draw_scene
from ml.starter.mask import draw_made_up_scene, learn_mask, predict_item_masks
from ml.starter.palette import make_random_projections
from ml.starter.whitening import learn_whitening
from ml.training.data.photo_pixels import Photos
from ml.training.data.pixels import cache_pixels

FORM = Architecture("resnet18", 600, "gem", 32)
SHAPE = Architecture("resnet18", 560, "gem", 32, stages=2, colours=8, colour_share=0.2, lightness=0.5)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Drawings of the demo, decoded."""
    folder = tmp_path_factory.mktemp("photos")
    paths = []
    for number, kind in enumerate(KINDS):
        paths.append(folder / f"{kind}.jpg")
        draw_photo(kind, number, "teal", "plain", "table", "square").resize((90, 90)).save(paths[-1])
    return cache_pixels(paths, 64, folder / "cache")


@pytest.fixture(scope="module")
def starter():
    loaded = read_weights(STARTER)
    return UnitLength(loaded.network).eval(), loaded.architecture


def vectors(network, size, pictures):
    with torch.inference_mode():
        return network(
            normalise_pixels(torch.from_numpy(np.stack([resize_and_crop(each, size) for each in pictures])))
        ).numpy()


def test_the_shipped_weights_are_small_and_come_with_card_and_licence(starter):
    assert STARTER.stat().st_size <= 30_000_000
    assert starter[1].dim == 1000
    for name in ("MODEL_CARD.md", "LICENSE"):
        assert STARTER.with_name(name).stat().st_size > 1000
        assert f"ml/starter/{name}" in Path(__file__).parents[3].joinpath("README.md").read_text()


def test_the_shipped_weights_find_the_original_of_a_copy(starter):
    network, shape = starter
    originals = [draw_photo(kind, form, "teal", "plain", "room", "front") for kind in KINDS for form in range(2)]
    copies = []
    for picture in originals:
        data = io.BytesIO()
        picture.resize((400, 500)).save(data, "JPEG", quality=40)
        copies.append(Image.open(data).convert("RGB"))
    found = vectors(network, shape.size, copies) @ vectors(network, shape.size, originals).T
    assert found.argmax(axis=1).tolist() == list(range(len(originals)))


def test_the_shipped_weights_tell_colours_apart(starter):
    network, shape = starter
    items = [draw_photo("mug", 1, colour, "plain", "studio", "front") for colour in ("tomato red", "navy")]
    again = draw_photo("mug", 1, "tomato red", "plain", "studio", "square")
    red, blue, query = vectors(network, shape.size, [*items, again])
    assert query @ red > query @ blue


def test_the_shipped_mask_covers_an_item_and_leaves_out_its_background(starter):
    network, _ = starter
    inside, outside = [], []
    for kind in KINDS:
        pair = [draw_photo(kind, 1, "teal", "plain", behind, "square") for behind in ("studio", "room")]
        views = np.stack([resize_and_crop(each, SIDE) for each in pair])
        item = (np.abs(views[0].astype(int) - views[1]).sum(axis=2) <= 12).reshape(28, 4, 28, 4).mean(axis=(1, 3))
        with torch.inference_mode():
            seen = network.network.mask(normalise_pixels(torch.from_numpy(views))).sigmoid()[:, 0]
        inside += [mask[item > 0.9].mean() for mask in seen.numpy()]
        outside += [mask[item < 0.1].mean() for mask in seen.numpy()]
    assert np.mean(inside) > 0.7
    assert np.mean(outside) < 0.3


def test_weights_without_a_mask_are_refused_before_anything_is_learned(tmp_path, monkeypatch, capsys):
    plain = tmp_path / "plain.safetensors"
    write_weights(plain, resnet.create_network(FORM), FORM)
    options = {"--table": tmp_path / "none.csv", "--start": plain, "--mask": plain, "--out": tmp_path}
    monkeypatch.setattr(sys, "argv", ["starter", *(str(each) for pair in options.items() for each in pair)])
    assert main() == 1
    assert f"{plain} has no mask to take" in capsys.readouterr().err


def pairs(generator, apart):
    """Three views each of 400 pictures, hardly different in the last two of six dimensions; `apart` is a view's own."""
    pictures = torch.randn(400, 1, 6, generator=generator) * torch.tensor([3.0, 3.0, 3.0, 3.0, 0.1, 0.1])
    return pictures + torch.randn(400, 3, 6, generator=generator) * apart


def test_whitening_turns_down_what_differs_between_views_of_a_picture():
    generator = torch.Generator().manual_seed(1)
    turn = learn_whitening(pairs(generator, torch.tensor([2.0, 0.2, 0.2, 0.2, 0.01, 0.01])), 6)
    lengths = turn.norm(dim=0)
    assert lengths[0] < 0.8 * lengths[1]
    assert lengths[1:4].tolist() == pytest.approx([lengths[1].item()] * 3, rel=0.05)


def test_whitening_keeps_the_directions_in_which_pictures_differ_most():
    generator = torch.Generator().manual_seed(1)
    views = pairs(generator, torch.full((6,), 0.1))
    narrow, whole = learn_whitening(views, 4), learn_whitening(views, 6)
    assert narrow.shape == (4, 6)
    vectors = views.flatten(0, 1).double()
    assert torch.allclose(vectors @ narrow.T @ narrow @ vectors.T, vectors @ whole.T @ whole @ vectors.T, atol=1)
    assert narrow[:, 4:].abs().max() < 0.1


def test_a_scene_shows_its_item_where_its_mask_says():
    background = Image.new("RGB", (64, 64), (10, 200, 10))
    covered = []
    for seed in range(20):
        made = draw_scene(background, background, 48, Random(seed))
        assert made.picture.shape == (48, 48, 3)
        assert made.mask.shape == (48, 48)
        covered.append(made.mask.mean() / 255)
        assert draw_scene(background, background, 48, Random(seed)).picture.tobytes() == made.picture.tobytes()
    assert 0.02 < np.mean(covered) < 0.5


def test_a_mask_learns_where_items_are(photos):
    torch.manual_seed(1)
    mask = learn_mask(resnet.create_network(FORM), photos, 32, scenes=512, epochs=4, seed=1)
    assert not any(weight.requires_grad for weight in mask.parameters())
    scenes = [draw_made_up_scene(photos, 32, Random(seed)) for seed in range(1000, 1040)]
    pictures = normalise_pixels(torch.from_numpy(np.stack([each.picture for each in scenes])))
    with torch.inference_mode():
        logits = mask(pictures)[:, 0].numpy()
    items = np.stack([np.asarray(Image.fromarray(each.mask).resize((8, 8), Image.Resampling.BOX)) for each in scenes])
    assert logits[items > 200].mean() > logits[items < 50].mean() + 1


def likeness(sums, one, other):
    """As `ColourHistogram` has it."""
    found = [torch.nn.functional.normalize((sums[0] @ each) * (sums[1] @ each), dim=0) for each in (one, other)]
    return (found[0] @ found[1]).item()


def unit(bins, **amounts):
    vector = torch.zeros(bins)
    for name, amount in amounts.items():
        vector[int(name[1:])] = amount
    return torch.nn.functional.normalize(vector, dim=0)


def test_likenesses_of_colours_are_squared():
    histograms = torch.eye(400)  # no colour is more common than another
    sums = make_random_projections(histograms, seed=1)
    one, other = unit(400, b0=1.0, b1=1.0), unit(400, b0=1.0, b2=1.0)
    assert likeness(sums, one, one) == pytest.approx(1, abs=1e-5)
    assert likeness(sums, one, other) == pytest.approx(0.5**2, abs=3 / 20)
    assert likeness(sums, one, unit(400, b3=1.0)) == pytest.approx(0, abs=3 / 20)


def test_a_common_colour_says_less_than_a_rare_one():
    generator = torch.Generator().manual_seed(1)
    walls = torch.zeros(400)
    walls[0] = 1.0  # of every photo
    sums = make_random_projections(
        torch.nn.functional.normalize(torch.rand(2000, 400, generator=generator) ** 30 + walls), seed=1
    )
    common = likeness(sums, unit(400, b0=1.0, b1=1.0), unit(400, b0=1.0, b2=1.0))
    rare = likeness(sums, unit(400, b0=1.0, b1=1.0), unit(400, b3=1.0, b1=1.0))
    assert rare > common + 0.2


def test_a_coloured_network_has_its_bins_among_the_colours_of_photos(photos):
    targets = np.arange(len(photos))
    labelled = Photos(photos, targets, list(KINDS), np.ones(len(photos)), len(photos))
    torch.manual_seed(1)
    form = resnet.create_network(FORM)
    form.mask = resnet.create_network(SHAPE).mask
    network = whiten_and_add_colours(form, SHAPE, labelled, pictures=256, seed=1)
    assert torch.equal(network.mask.logit.weight, form.mask.logit.weight)
    lightness = network.colour.centres[:, 0]
    assert ((lightness >= 0) & (lightness <= 50)).all()
    assert len(network.colour.centres.unique(dim=0)) == SHAPE.colours
    pictures = normalise_pixels(torch.from_numpy(np.stack([resize_and_crop(photos.picture(i), 32) for i in range(8)])))
    with torch.inference_mode():
        forms = network.forward_form(pictures, network.mask(pictures))
    assert forms.mean(0).norm() < 0.7 * forms.norm(dim=1).mean()  # what all have in common is taken away
    masks = predict_item_masks(network.mask, photos, 32)
    assert (masks.shape, masks.dtype) == ((len(photos), 8, 8), np.uint8)
