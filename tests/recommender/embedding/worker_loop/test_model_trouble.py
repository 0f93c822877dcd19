"""Models that cannot be loaded, or fail, cost no photo anything."""

from __future__ import annotations

import pytest

from recommender.embedding.worker_loop import WorkerLoop
from recommender.errors import ModelNotReady
from recommender.models import Embedding, EmbeddingModel
from tests.fakes import FakeCache, FakeEmbedder
from tests.recommender.queue_rows import (
    embed,
    loop_with,
    make_model,
    make_photos,
    media_files,
    named_files,
    states,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_storage")]


def test_a_worker_frees_the_memory_of_a_retired_model():
    retired, kept = make_model("standby"), make_model()
    cache = FakeCache(lambda model: FakeEmbedder())
    for model in (retired, kept):
        cache.load_embedder(model)
    EmbeddingModel.objects.filter(pk=retired.pk).update(state="retired")
    WorkerLoop(cache).run_slice()
    assert (cache.is_loaded(retired.pk), cache.is_loaded(kept.pk)) == (False, True)


def test_a_model_that_cannot_be_loaded_leases_nothing():
    make_model()
    make_photos(3)

    def load(model):
        raise ModelNotReady("The weights are missing.")

    tally = WorkerLoop(FakeCache(load)).run_slice(10)
    assert (tally.batches, states()) == (0, {"pending": 3})


def test_a_model_that_fails_its_test_picture_leases_nothing():
    make_model()
    make_photos(3)
    broken = FakeEmbedder()
    broken.poison = float("nan")
    embed(broken)
    assert set(Embedding.objects.values_list("state", "attempts")) == {("pending", 0)}
    embed(FakeEmbedder(dim=12))
    assert states() == {"pending": 3}


class OutOfMemory(FakeEmbedder):
    """Fails at more than a few pictures, as libraries do: in many lines."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def embed(self, batch):
        if len(batch) > self.most:
            raise RuntimeError("Exception from src/infer.cpp:88:\nCould not allocate memory.\nTry another device.\n")
        return super().embed(batch)


def test_a_model_that_fails_at_a_micro_batch_costs_no_photo_and_is_given_fewer(settings, broker):
    settings.EMBED_BATCH = 8
    make_model()
    make_photos(9)
    broken = OutOfMemory(most=2)
    loop = loop_with(broken)
    broker.flushall()
    for photos in (8, 4):
        assert loop.run_slice().stopped == f"The model failed at {photos} photos: Could not allocate memory."
        assert set(Embedding.objects.values_list("state", "attempts")) == {("pending", 0)}
        assert media_files() == set()
    assert broker.llen("embedding") == 0
    assert loop.run_slice().done == 9
    assert broken.batches == [1, 1, 1, 2, 2, 2, 2, 1]  # tested again each time


def test_a_model_that_fails_does_not_hold_up_another(settings):
    settings.EMBED_BATCH = 4
    active, other = make_model(), make_model("backfilling")
    make_photos(20)
    embedders = {active.pk: FakeEmbedder(), other.pk: OutOfMemory(most=1)}
    tally = WorkerLoop(FakeCache(lambda model: embedders[model.pk])).run_slice(30)
    assert "The model failed at 4 photos" in tally.stopped
    assert set(Embedding.objects.filter(model=active).values_list("state", flat=True)) == {"done"}
    assert set(Embedding.objects.filter(model=other).values_list("state", "attempts")) == {("pending", 0)}


def test_a_model_that_fails_at_its_test_picture_says_so():
    model = make_model()
    make_photos(3)

    class Broken(FakeEmbedder):
        def embed(self, batch):
            raise RuntimeError("CUDA error: device lost\nCompile with TORCH_USE_CUDA_DSA to see where.")

    tally = embed(Broken())
    assert tally.stopped.startswith(f"Model {model.version} cannot embed a drawn picture in this process")
    assert tally.stopped.endswith("CUDA error: device lost")
    assert set(Embedding.objects.values_list("state", "attempts")) == {("pending", 0)}


def test_a_model_that_is_not_ready_does_not_hold_up_another(broker):
    active, other = make_model(), make_model("backfilling")
    make_photos(3)
    embedder = FakeEmbedder()

    def load(model):
        if model == other:
            raise ModelNotReady("The weights are missing.")
        return embedder

    broker.flushall()
    WorkerLoop(FakeCache(load)).run_slice(10)
    assert set(Embedding.objects.filter(model=active).values_list("state", flat=True)) == {"done"}
    assert set(Embedding.objects.filter(model=other).values_list("state", flat=True)) == {"pending"}
    assert broker.llen("embedding") == 0


def test_a_vector_that_is_not_a_number_fails_and_is_not_stored():
    make_model()
    make_photos(2)
    embedder = FakeEmbedder()
    loop = loop_with(embedder)
    loop.run_slice()
    photo = make_photos(1)[0]
    embedder.poison = float("nan")
    assert loop.run_slice().failed == 1
    row = Embedding.objects.get(image=photo)
    assert (row.state, row.vector) == ("failed", None)
    assert media_files() == named_files()
