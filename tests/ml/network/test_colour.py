from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from ml.network import resnet
from ml.network.colour import ColourHistogram, LabColours
from ml.network.item_mask import ItemMask
from ml.network.resnet import Architecture, GeneralisedMean, NoSuchNetworkError, normalise_pixels

SIDE = 32


def picture(item: tuple[int, int, int], background: tuple[int, int, int]) -> torch.Tensor:
    """A square item in the middle of a picture, as the network takes it."""
    pixels = np.full((1, SIDE, SIDE, 3), background, np.uint8)
    pixels[:, 8:24, 8:24] = item
    return normalise_pixels(torch.from_numpy(pixels))


def middle(certain: float = 8.0) -> torch.Tensor:
    """Mask logits that know where the item is."""
    logits = torch.full((1, 1, 8, 8), -certain)
    logits[..., 2:6, 2:6] = certain
    return logits


def make_histogram(**how):
    made = ColourHistogram(216, **how)
    levels = torch.linspace(0, 255, 6)
    cube = torch.cartesian_prod(levels, levels, levels).to(torch.uint8)
    made.centres.copy_(made.lab(normalise_pixels(cube[None, None])).reshape(3, -1).T)
    return made


@pytest.fixture
def histogram():
    return make_histogram()


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ((255, 255, 255), (100.0, 0.0, 0.0)),
        ((0, 0, 0), (0.0, 0.0, 0.0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((128, 128, 128), (53.59, 0.0, 0.0)),
    ],
)
def test_lab_is_that_of_the_standard(colour, expected):
    found = LabColours()(normalise_pixels(torch.tensor(colour, dtype=torch.uint8)[None, None, None])).flatten().tolist()
    assert found == pytest.approx(expected, abs=0.05)


def test_the_background_hardly_counts(histogram):
    red_on_white, red_on_green = (
        histogram(picture((200, 30, 30), back), middle()) for back in ((255,) * 3, (0, 90, 0))
    )
    blue_on_white = histogram(picture((30, 30, 200), (255,) * 3), middle())
    assert (red_on_white * red_on_green).sum() > 0.95
    assert (red_on_white * blue_on_white).sum() < 0.2


def test_without_a_mask_the_background_decides(histogram):
    everywhere = torch.zeros(1, 1, 8, 8)
    one, other = (histogram(picture((200, 30, 30), back), everywhere) for back in ((255,) * 3, (0, 90, 0)))
    assert (one * other).sum() < 0.5


def test_a_picture_without_an_item_has_colours_too(histogram):
    nothing = torch.full((1, 1, 8, 8), -30.0)
    assert histogram(picture((9, 9, 9), (9, 9, 9)), nothing).norm().item() == pytest.approx(1, abs=1e-5)


DIM, BRIGHT = ((90, 50, 40), (120,) * 3), ((123, 69, 56), (163,) * 3)  # with twice the light


def compare_colours(histogram, one, other, mask):
    return (histogram(picture(*one), mask) * histogram(picture(*other), mask)).sum().item()


def test_twice_the_light_leaves_colours_what_they_are():
    found = []
    for how in ({}, {"blur": 6.0, "lightness": 0.4}, {"blur": 6.0, "lightness": 0.4, "constancy": 0.5}):
        histogram = make_histogram(**how)
        shades = torch.linspace(0, 2.5, 216)[:, None] * torch.tensor(DIM[0])
        histogram.centres.copy_(histogram.lab(normalise_pixels(shades[None, None])).reshape(3, -1).T)
        found.append(compare_colours(histogram, DIM, BRIGHT, middle()))
    assert found[0] < 0.3 < found[1] < found[2]
    assert found[2] > 0.7


def test_an_item_that_fills_the_picture_is_not_taken_for_the_light():
    everywhere = torch.full((1, 1, 8, 8), 30.0)
    black, white = ((20,) * 3,) * 2, ((230,) * 3,) * 2
    assert compare_colours(make_histogram(blur=6.0, lightness=0.4, constancy=1.0), black, white, everywhere) < 0.1


def test_colours_decide_their_share_of_the_similarity():
    shape = Architecture("resnet18", 40, "gem", SIDE, colours=16, colour_share=0.3)
    network = resnet.create_network(shape).eval()
    network.colour.centres.copy_(torch.rand(16, 3) * 100)
    with torch.inference_mode():
        vector = network(picture((200, 30, 30), (255, 255, 255)))
    assert vector.shape == (1, 40)
    vector = torch.nn.functional.normalize(vector)
    assert vector[:, :24].norm().item() ** 2 == pytest.approx(0.7, abs=1e-5)
    assert vector[:, 24:].norm().item() ** 2 == pytest.approx(0.3, abs=1e-5)


@pytest.mark.parametrize(("size", "cells"), [(32, 8), (112, 28), (144, 28), (224, 28)])
def test_the_mask_has_a_logit_for_every_four_pixels_of_what_it_sees(size, cells):
    with torch.inference_mode():
        assert ItemMask().eval()(torch.rand(1, 3, size, size)).shape == (1, 1, cells, cells)


@pytest.mark.parametrize("colours", [0, 16])
def test_the_form_is_pooled_where_the_item_is(colours):
    torch.manual_seed(1)
    network = resnet.create_network(Architecture("resnet18", 40, "gem", 2 * SIDE, colours=colours)).eval()
    pictures = torch.rand(1, 3, 2 * SIDE, 2 * SIDE)  # at SIDE the last maps are of one place
    forms = []
    with torch.inference_mode():
        for side in ("left", "right"):
            network.mask = Half(side)  # type: ignore[assignment]
            forms.append(network(pictures)[:, : 40 - colours])
            assert torch.equal(forms[-1], network.forward_form(pictures, network.mask(pictures)))
    assert torch.cosine_similarity(*forms).item() < 1 - 1e-4


def test_a_form_of_two_stages_sees_both():
    torch.manual_seed(1)
    network: Any = resnet.create_network(Architecture("resnet18", 24, "gem", SIDE, stages=2)).eval()
    pictures = torch.rand(2, 3, SIDE, SIDE)
    with torch.inference_mode():
        pooled = network.pool_stages(pictures)
        assert pooled.shape == (2, 256 + 512)
        network.stages = 1
        assert torch.equal(network.pool_stages(pictures), pooled[:, 256:])
        network.fc.weight[:, 256:] = 0
        network.stages = 2
        earlier = network(pictures)
    assert not torch.equal(earlier[0], earlier[1])


class Half(torch.nn.Module):
    """A mask that takes one half of every picture for the item."""

    def __init__(self, side):
        super().__init__()
        self.side = side

    def forward(self, pictures):
        logits = torch.full((len(pictures), 1, 8, 8), 30.0)
        logits[..., 4:] = -30.0
        return logits if self.side == "left" else logits.flip(3)


def test_a_larger_size_of_pictures_is_seen_the_same_by_exports_and_by_training():
    shape = Architecture("resnet18", 40, "gem", 112, colours=16, colour_share=0.3)
    network = resnet.create_network(shape).eval()
    larger = resnet.create_network(dataclasses.replace(shape, size=224)).eval()
    larger.load_state_dict(network.state_dict())
    pictures = torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        assert torch.equal(network(pictures), larger(pictures))


def test_the_mask_does_not_learn_by_the_way():
    network: Any = resnet.create_network(Architecture("resnet18", 40, "gem", SIDE, colours=16, colour_share=0.3))
    assert not any(parameter.requires_grad for parameter in network.mask.parameters())
    statistics = network.mask.bn1.running_mean.clone()
    network.train()(torch.rand(2, 3, SIDE, SIDE))
    assert torch.equal(network.mask.bn1.running_mean, statistics)
    assert not torch.equal(network.bn1.running_mean, torch.zeros(64))
    network.mask.requires_grad_(True).train()(torch.rand(2, 3, SIDE, SIDE))
    assert not torch.equal(network.mask.bn1.running_mean, statistics)


def test_pooling_counts_the_background_less_the_surer_a_mask_is():
    maps = torch.zeros(1, 1, 2, 2)
    maps[0, 0, 0, 0] = 1.0  # the item; all else is background
    mask = torch.full((1, 1, 4, 4), -30.0)
    mask[..., :2, :2] = 30.0
    pool = GeneralisedMean(p=1.0)
    assert pool(maps).item() == pytest.approx(1 / 4, rel=1e-4)
    assert pool(maps, torch.zeros_like(mask)).item() == pytest.approx(1 / 4, rel=1e-4)
    assert pool(maps, mask).item() == pytest.approx(1.3 / (1.3 + 3 * 0.3), rel=1e-4)


def test_a_vector_of_colours_alone_is_refused():
    with pytest.raises(NoSuchNetworkError, match="cannot hold 16 colours and a form; choose at least 17"):
        resnet.create_network(Architecture("resnet18", 16, colours=16))
