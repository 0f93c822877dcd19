"""What TensorBoard is given, read back with its own reader."""

import dataclasses
import io
import time

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ml.folders.photo_set import read_photo_set
from ml.training.data.photo_pixels import decode_photos
from ml.training.loop import Run
from ml.training.plan import METRIC
from ml.training.tensorboard import Board, principal_components, wait_for_later_event_file_name
from ml.training.validation.retrieval import judge_network
from ml.training.validation.sheets import RIGHT, WRONG, confusion_picture, neighbour_sheet
from tests.ml.shapes import draw_shapes, tiny_network

PLAN = dataclasses.replace(METRIC, epochs=3, batch=8, sizes=((1.0, 24),), ema=0)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    return decode_photos(dataclasses.replace(read_photo_set(draw_shapes(folder)), groups=None), 32, folder / "cache")


def events(folder) -> EventAccumulator:
    return EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0}).Reload()


def picture_of(event) -> Image.Image:
    return Image.open(io.BytesIO(event.encoded_image_string))


def test_a_resumed_runs_file_comes_after_one_made_in_the_same_second(tmp_path):
    second = int(time.time())
    (tmp_path / f"events.out.tfevents.{second}.host.99.0").touch()
    wait_for_later_event_file_name(tmp_path)
    assert second < int(time.time()) <= second + 2


class Killed(Exception):
    """Raised where a process would be killed."""


@pytest.fixture(scope="module")
def finished(photos, tmp_path_factory):
    """A run that was killed after its second epoch was shown and before it was kept, then ended by another process."""
    folder = tmp_path_factory.mktemp("run")

    def begin():
        run = Run(folder, PLAN, tiny_network(), 8, photos, photos)
        run.resume()
        return run

    def show_then_die(run):
        board.add_epoch(run)
        if len(run.epochs) == 2:
            raise Killed

    run = begin()
    with Board(run) as board, pytest.raises(Killed):
        run.train(show_then_die)
    run = begin()
    assert len(run.epochs) == 1
    with Board(run) as board:
        run.train(board.add_epoch)
        board.add_outcome(run)
    return run


def test_curves_show_every_epoch_once(finished):
    shown = events(finished.folder)
    expected = {
        "loss/training": [epoch.loss for epoch in finished.epochs],
        "accuracy/training": [epoch.accuracy for epoch in finished.epochs],
        "rate/head": [epoch.lr for epoch in finished.epochs],
        "rate/trunk": [epoch.lr * PLAN.trunk_lr for epoch in finished.epochs],
        "validation/recall_at_1": [epoch.validation["recall_at_1"] for epoch in finished.epochs],
        "validation/map_at_r": [epoch.validation["map_at_r"] for epoch in finished.epochs],
    }
    for tag, values in expected.items():
        assert [point.step for point in shown.Scalars(tag)] == [0, 1, 2], tag
        assert [point.value for point in shown.Scalars(tag)] == pytest.approx(values)


def test_sheets_show_the_best_epoch(finished):
    shown = events(finished.folder)
    for tag in ("neighbours/validation", "confusion/validation"):
        assert shown.Images(tag)[-1].step == finished.best.epoch
        assert min(picture_of(shown.Images(tag)[-1]).size) > 50


def test_hyperparameters_and_outcome_are_there(finished):
    shown = events(finished.folder)
    assert "_hparams_/session_start_info" in shown.SummaryMetadata.__self__.summary_metadata
    start = shown.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    assert b"trunk_lr" in start
    assert [point.value for point in shown.Scalars("outcome/map_at_r")] == pytest.approx([finished.best.map_at_r])


def test_the_projector_has_vectors_names_and_thumbnails(finished):
    folder = finished.folder / "tensorboard"
    (tensors,) = folder.glob("00000/*/tensors.tsv")
    vectors = np.loadtxt(tensors, delimiter="\t")
    names = tensors.with_name("metadata.tsv").read_text().split()
    assert vectors.shape == (32, 8)
    assert sorted(set(names)) == ["blue", "green", "red", "yellow"]
    assert Image.open(tensors.with_name("sprite.png")).size == (6 * 40, 6 * 40)
    assert "sprite.png" in (folder / "projector_config.pbtxt").read_text()


def test_event_files_are_small(finished):
    assert sum(path.stat().st_size for path in (finished.folder / "tensorboard").rglob("*")) < 500_000


def test_training_pictures_are_shown_where_none_are_set_aside(photos, tmp_path):
    run = Run(tmp_path, dataclasses.replace(PLAN, epochs=1), tiny_network(), 8, photos)
    with Board(run) as board:
        run.train(board.add_epoch)
        board.add_outcome(run)
    assert set(events(tmp_path).Tags()["images"]) == {"neighbours/training", "confusion/training"}


@pytest.mark.parametrize(("groups", "shown"), [("targets", 2), ("none of two", 0)])
def test_training_pictures_are_shown_whatever_their_groups(photos, tmp_path, groups, shown):
    if groups == "targets":
        few = dataclasses.replace(photos, groups=photos.targets)
    else:
        few = dataclasses.replace(photos, targets=np.arange(32), classes=list("a" * 32), emphasis=np.ones(32))
    run = Run(tmp_path, dataclasses.replace(PLAN, epochs=1), tiny_network(), 8, few)
    with Board(run) as board:
        run.train(board.add_epoch)
    assert len(events(tmp_path).Tags()["images"]) == shown


def test_neighbours_are_framed_by_whether_they_are_right(photos):
    import torch

    judged = judge_network(tiny_network(), photos, 24, torch.device("cpu"))
    sheet = np.asarray(neighbour_sheet(judged)).reshape(-1, 3)
    queries = np.argsort(photos.targets, kind="stable")[np.linspace(0, 31, 8).astype(int)]
    hits = int(judged.judged.hits[queries, :8].sum())
    frame = (72 - 2) ** 2 - 64**2
    assert (sheet == RIGHT).all(axis=1).sum() == pytest.approx(hits * frame, abs=20)
    assert (sheet == WRONG).all(axis=1).sum() == pytest.approx((64 - hits) * frame, abs=20)


def test_a_confusion_picture_is_darkest_where_most_are_taken_for_that():
    counts = np.array([[9, 1, 0], [0, 10, 0], [0, 0, 0]])
    picture = confusion_picture(counts, ["mugs", "vases", "unseen"])
    cells = np.asarray(picture)[-80:, -80:].reshape(2, 40, 2, 40, 3).mean(axis=(1, 3, 4))
    assert cells[1, 1] < cells[0, 0] < cells[0, 1] < cells[1, 0] == 255
    many = confusion_picture(np.eye(200, dtype=int), [str(i) for i in range(200)])
    assert many.size == (600, 600)


def test_principal_components_keep_distances():
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(40, 5)) @ rng.normal(size=(5, 100))).astype(np.float32)
    few = principal_components(vectors, 5)
    before, after = (np.linalg.norm(rows[:, None] - rows, axis=2) for rows in (vectors, few))
    np.testing.assert_allclose(before, after, rtol=1e-4, atol=1e-4)
    assert principal_components(vectors, 64).shape == (40, 40)
