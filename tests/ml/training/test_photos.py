"""What a run is shown: decoded pictures, their order, their augmented views, and what is set aside to judge by."""

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ml.folders.photo_set import PhotoSet, PhotoSetError, read_photo_set
from ml.training.data.augmentation import Augmentation, augment_pictures
from ml.training.data.batches import Batches, draw_balanced_order
from ml.training.data.photo_pixels import decode_photos
from ml.training.data.pixels import UnreadablePicturesError, cache_pixels
from ml.training.data.split import split_photos
from tests.ml.shapes import KINDS, draw_shapes

ITEM, WALLS = (200, 30, 30), ((0, 90, 0), (0, 0, 120))
STILL = Augmentation(area=(1, 1), aspect=1, brightness=0, contrast=0, saturation=0, erase=0, move=1)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    return read_photo_set(draw_shapes(tmp_path_factory.mktemp("shapes")))


def a_set(counts, groups=None):
    labels = [label for label, count in counts.items() for _ in range(count)]
    return PhotoSet(tuple(Path(f"{i}.png") for i in range(len(labels))), tuple(labels), groups)


def test_pictures_are_decoded_once_and_kept(shapes, tmp_path):
    first = cache_pixels(shapes.images, 32, tmp_path)
    data = next(tmp_path.glob("*.u8"))
    written = data.stat().st_mtime_ns
    again = cache_pixels(shapes.images, 32, tmp_path)
    assert data.stat().st_mtime_ns == written
    assert [again.picture(3).size, len(again)] == [(38, 32), len(shapes)]
    assert np.array_equal(np.asarray(first.picture(3)), np.asarray(again.picture(3)))


def test_a_picture_that_changed_is_decoded_again(shapes, tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(2)]
    for path in paths:
        Image.new("RGB", (8, 8), "red").save(path)
    cache_pixels(paths, 8, tmp_path)
    Image.new("RGB", (8, 8), "blue").resize((8, 9)).save(paths[1])
    assert cache_pixels(paths, 8, tmp_path).picture(1).getpixel((4, 4)) == (0, 0, 255)


def test_unreadable_pictures_are_named_and_nothing_is_kept(shapes, tmp_path):
    paths = [*shapes.images[:3], *(tmp_path / f"bad{i}.jpg" for i in range(7))]
    for path in paths[3:]:
        path.write_text("no picture")
    with pytest.raises(UnreadablePicturesError, match=r"bad0\.jpg.*bad4\.jpg.* and 2 more"):
        cache_pixels(paths, 32, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_sample_takes_evenly_from_the_classes(shapes, tmp_path):
    photos = decode_photos(shapes, 32, tmp_path)
    sample = photos.draw_sample(10, seed=1)
    assert sorted(Counter(sample.targets).values()) == [2, 2, 3, 3]
    assert len(photos.draw_sample(10_000, seed=1).targets) == len(photos.targets)
    for i, picture in enumerate(photos.pixels.sizes):
        assert tuple(picture) == photos.pixels.picture(i).size[::-1]
    kinds = sorted(KINDS)
    middle = sample.pixels.picture(0).resize((1, 1), box=(16, 14, 20, 18)).getpixel((0, 0))
    assert np.abs(np.subtract(middle, KINDS[kinds[sample.targets[0]]])).max() < 20


def test_empty_groups_are_none(shapes, tmp_path):
    some = dataclasses.replace(shapes, groups=("", "a", "", "b", *("a",) * (len(shapes) - 4)))
    assert decode_photos(some, 32, tmp_path).groups[:5].tolist() == [-1, 0, -1, 1, 0]


def test_balance_evens_out_the_classes():
    targets = np.repeat([0, 1], [900, 100])

    def shown(balance, emphasis=(1.0, 1.0)):
        order = draw_balanced_order(targets, np.array(emphasis), 1000, balance, np.random.default_rng(0))
        return np.bincount(targets[order]).tolist()

    assert shown(0) == pytest.approx([900, 100], abs=1)
    assert shown(1) == pytest.approx([500, 500], abs=1)
    assert shown(0.5) == pytest.approx([750, 250], abs=1)
    assert shown(1, (1.0, 3.0)) == pytest.approx([250, 750], abs=1)


def test_every_picture_of_a_class_is_shown_before_any_again():
    targets = np.repeat([0, 1], [30, 10])
    order = draw_balanced_order(targets, np.ones(2), 40, 1, np.random.default_rng(0))
    times = Counter(order.tolist())
    assert {times[i] for i in range(30, 40)} == {2}
    assert {times[i] for i in range(30)} <= {0, 1}


def test_batches_are_the_same_whoever_prepares_them(shapes, tmp_path):
    photos = decode_photos(shapes, 32, tmp_path)
    options: dict[str, Any] = {"batch": 5, "size": 24, "how": Augmentation(), "seed": 7}
    alone = list(Batches(photos, np.arange(32), **options))
    together = list(Batches(photos, np.arange(32), **options, threads=4))
    assert len(alone) == 6
    for one, other in zip(alone, together, strict=True):
        assert one.views.shape == (5, 24, 24, 3)
        assert np.array_equal(one.views, other.views)
        assert np.array_equal(one.targets, other.targets)


def test_views_change_but_never_in_hue():
    red = [Image.new("RGB", (40, 30), (200, 30, 30))] * 16
    views = augment_pictures(red, 16, Augmentation(), np.random.default_rng(0)).astype(int)
    assert len({tuple(view[0, 0]) for view in views}) > 8
    hues = np.array(Image.fromarray(views[:, 0, :1].astype(np.uint8)).convert("HSV"))[..., 0].astype(int)
    assert np.abs((hues + 128) % 256 - 128).max() <= 2


def test_views_follow_from_the_generator_they_are_given_alone():
    pictures = [Image.linear_gradient("L").convert("RGB")] * 8
    views = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        views.append(augment_pictures(pictures, 16, Augmentation(), np.random.default_rng(0)))
    assert np.array_equal(views[0], views[1])


def test_crops_keep_as_much_and_are_mirrored_as_often_as_the_ranges_say():
    """By a picture whose red says how far right a pixel is, and whose green how far down."""
    across, down = np.meshgrid(np.arange(240), np.arange(240))
    picture = np.stack([across, down, 0 * down], axis=2).astype(np.uint8)
    how = dataclasses.replace(STILL, area=(0.25, 0.75), aspect=4 / 3, move=0)
    views = augment_pictures([picture] * 400, 24, how, np.random.default_rng(0)).astype(int)
    widths, heights = (views[:, 12, -1, 0] - views[:, 12, 0, 0]), (views[:, -1, 12, 1] - views[:, 0, 12, 1])
    assert 0.4 < (widths < 0).mean() < 0.6
    widths, heights = np.abs(widths) * 24 / 23, heights * 24 / 23  # from the middle of a pixel to the next one's
    areas, ratios = widths * heights / 240**2, widths / heights
    assert [areas.min(), np.median(areas), areas.max()] == pytest.approx([0.25, 0.5, 0.75], abs=0.05)
    assert [ratios.min(), np.median(ratios), ratios.max()] == pytest.approx([3 / 4, 1, 4 / 3], abs=0.08)


def test_a_share_is_set_aside_whole_groups_at_a_time():
    groups = tuple(f"sender {i % 25}" for i in range(200))
    training, judged = split_photos(a_set({"a": 100, "b": 100}, groups), 0.1, seed=1)
    assert set(training.groups).isdisjoint(judged.groups)
    assert (len(training), len(judged)) == (184, 16)
    assert split_photos(a_set({"a": 100, "b": 100}, groups), 0.1, seed=1)[1] == judged
    assert split_photos(a_set({"a": 100, "b": 100}, groups), 0.1, seed=2)[1] != judged


def test_pictures_without_a_group_are_set_aside_one_by_one():
    judged = split_photos(a_set({"a": 50, "b": 50}, ("",) * 100), 0.2, seed=1)[1]
    assert len(judged) == 20


def test_a_share_of_every_class_is_set_aside_where_there_are_no_groups():
    training, judged = split_photos(a_set({"a": 100, "b": 40, "c": 3}), 0.1, seed=1)
    assert Counter(judged.labels) == {"a": 10, "b": 4}
    assert len(training) == 129


def test_small_classes_take_turns_to_give_two():
    judged = split_photos(a_set({f"class {i}": 6 for i in range(20)}), 0.1, seed=1)[1]
    assert len(judged) == 12
    assert set(Counter(judged.labels).values()) == {2}


@pytest.mark.parametrize("groups", [None, ("one",) * 6])
def test_a_set_that_cannot_be_split_is_refused(groups):
    with pytest.raises(PhotoSetError, match="10% of 6 pictures cannot be set aside"):
        split_photos(a_set({"a": 3, "b": 3}, groups), 0.1, seed=1)


def before_walls():
    """Two pictures of the same item before different walls, and their masks."""
    pictures = [Image.new("RGB", (32, 32), wall) for wall in WALLS]
    for picture in pictures:
        picture.paste(ITEM, (8, 8, 24, 24))
    mask = Image.new("L", (16, 16))
    mask.paste(255, (4, 4, 12, 12))
    return pictures, [mask, mask]


def test_an_item_is_put_before_another_picture_of_the_batch():
    pictures, masks = before_walls()
    seed = next(seed for seed in range(9) if _first_wall(pictures, masks, seed) == WALLS[1])
    view = augment_pictures(pictures, 32, STILL, np.random.default_rng(seed), masks)[0]
    assert tuple(view[16, 16]) == ITEM
    assert tuple(view[1, 30]) == WALLS[1]


def test_an_item_is_put_before_a_wall_of_one_colour_or_two_that_run_into_each_other():
    pictures, masks = before_walls()
    how = dataclasses.replace(STILL, plain=1)
    walls = []
    for seed in range(9):
        for view in augment_pictures(pictures, 32, how, np.random.default_rng(seed), masks):
            assert tuple(view[16, 16]) == ITEM
            wall = view[:, 1]  # a column beside the item
            assert (view[:, 30] == wall).all()
            assert (np.abs(np.diff(wall.astype(int), axis=0)) <= 9).all()
            walls.append(tuple(map(tuple, wall.tolist())))
    assert len(set(walls)) == len(walls) == 18
    assert 2 < sum(wall[0] == wall[-1] for wall in walls) < 16


def _first_wall(pictures, masks, seed):
    return tuple(augment_pictures(pictures, 32, STILL, np.random.default_rng(seed), masks)[0][1, 1].tolist())


@pytest.mark.parametrize("grey", [0, 255])
def test_a_picture_without_an_item_or_without_a_background_stays(grey):
    pictures, _ = before_walls()
    masks = [Image.new("L", (16, 16), grey)] * 2
    for seed in range(5):
        assert _first_wall(pictures, masks, seed) == WALLS[0]


def test_a_share_of_the_pictures_is_turned_by_quarters_of_a_circle():
    corners = np.zeros((16, 16, 3), np.uint8)
    corners[:8, :8], corners[:8, 8:], corners[8:, 8:], corners[8:, :8] = 50, 100, 150, 200
    how = dataclasses.replace(STILL, move=0, turn=0.5)
    upright = [(50, 100, 150, 200), (100, 50, 200, 150)]  # as it is, and mirrored
    seen: Counter[tuple[int, ...]] = Counter()
    for view in augment_pictures([corners] * 400, 16, how, np.random.default_rng(1)):
        seen[tuple(int(view[place][0]) for place in ((4, 4), (4, 12), (12, 12), (12, 4)))] += 1
    assert len(seen) == 8
    assert 160 < sum(seen[way] for way in upright) < 240


def test_a_mask_is_cropped_and_mirrored_with_its_picture():
    picture = Image.new("RGB", (64, 48), "blue")
    picture.paste(ITEM, (10, 6, 40, 30))
    mask = Image.new("L", (64, 48))
    mask.paste(255, (10, 6, 40, 30))
    how = dataclasses.replace(STILL, area=(0.3, 1), aspect=4 / 3)
    other = Image.new("RGB", (64, 48), "lime")
    for seed in range(20):
        view = augment_pictures([picture, other], 32, how, np.random.default_rng(seed), [mask, Image.new("L", (8, 8))])[
            0
        ]
        item = (view == ITEM).all(axis=2)
        background = (view == (0, 0, 255)).all(axis=2) | (view == (0, 255, 0)).all(axis=2)
        assert (item | background).mean() > 0.8  # the rest is the soft edge
