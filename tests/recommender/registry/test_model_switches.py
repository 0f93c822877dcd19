"""Answers go on while two real models of different dimension replace each other (hazards 4 and 16)."""

import threading

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection

from ml.recipe import Recipe
from recommender import feed, registry
from recommender.embedding.embedder_cache import embedders
from recommender.embedding.worker_loop import WorkerLoop
from recommender.index import compact
from recommender.index.compaction.compactor import own_compactor
from recommender.index.view import plan_refresh
from recommender.models import Embedding, EmbeddingModel, IndexSnapshot
from tests.built_models import small_model_dir
from tests.factories import api, draw_photo, make_image, make_listing, make_user, photo_file
from tests.servers.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

SEARCH = "/api/v1/search/image/"
LISTINGS = 8
SWITCHES = 20


def small_model(dim, state):
    directory = small_model_dir(dim)
    recipe = Recipe.read(directory)
    return EmbeddingModel.objects.create(
        version=f"small-{dim}",
        arch=recipe.arch,
        dim=dim,
        recipe=recipe.as_dict(),
        checkpoint=directory.name,
        sha256=recipe.sha256,
        state=state,
    )


@pytest.fixture
def shop(fresh_index, settings):
    """Two models, the first of them active, both ready; a listing for each of a few drawn photos."""
    settings.MODELS_ROOT = small_model_dir(32).parent
    settings.EMBEDDER_CACHE = small_model_dir(32).parent / "openvino"
    settings.EMBEDDER_WEIGHTS = "untrained"
    feed.prune_rows(feed.current_position())  # on SQLite the flush before this test fired the delete triggers
    own_compactor.forget()
    embedders.evict_all()
    models = small_model(32, "active"), small_model(48, "backfilling")
    for seed in range(LISTINGS):
        make_image(make_listing(), seed)
    assert WorkerLoop().run_slice().done == 2 * LISTINGS
    compact(force=True)
    yield models
    embedders.evict_all()


@pytest.fixture
def web(fresh_index, shop, settings):
    """This process's index, refreshed as in a web process."""
    settings.INDEX_REFRESH_MS = 20
    fresh_index.start()
    wait_for(lambda: fresh_index.health().usable)
    yield fresh_index
    fresh_index.stop()


def cosines():
    """By model version and listing of the query: the cosine to every listing."""
    found = {}
    for model in EmbeddingModel.objects.live():
        rows = Embedding.objects.filter(model=model).order_by("image__listing_id")
        stored = list(rows.values_list("image__listing_id", "vector"))
        vectors = np.stack([np.frombuffer(vector, np.float16).astype(np.float32) for _, vector in stored])
        ids = [listing for listing, _ in stored]
        found[model.version] = {
            listing: dict(zip(ids, row.tolist(), strict=True))
            for listing, row in zip(ids, vectors @ vectors.T, strict=True)
        }
    return found


class Visitors:
    """Threads that ask for similar listings and search with photos until they are stopped, and keep every answer."""

    def __init__(self):
        self.answers, self.faults = [], []
        self._staff = make_user(staff=True)  # not throttled
        self._ids = sorted(Embedding.objects.values_list("image__listing_id", flat=True).distinct())
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(ask,)) for ask in (self._similar, self._search)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def count(self, version):
        return sum(answer["model"] == version for _, _, answer in list(self.answers))

    def _run(self, ask):
        client, seed = api(self._staff), 0
        try:
            while not self._stop.is_set():
                seed = (seed + 1) % LISTINGS
                response = ask(client, seed)
                if response.status_code == 200:
                    self.answers.append((ask.__name__, self._ids[seed], response.json()))
                else:
                    self.faults.append((ask.__name__, response.status_code, response.content))
        finally:
            connection.close()

    def _similar(self, client, seed):
        return client.get(f"/api/v1/listings/{self._ids[seed]}/similar/")

    def _search(self, client, seed):
        return client.post(SEARCH, {"image": photo_file(seed)}, format="multipart")


def test_similar_and_photo_search_answer_throughout_twenty_switches_each_from_one_model(web, shop):
    old, new = shop
    expected = cosines()
    with Visitors() as visitors:
        wait_for(lambda: visitors.count(old.version) >= 4)
        for switch in range(SWITCHES):
            registry.roll_back() if switch else registry.activate(new)
            version = EmbeddingModel.objects.find_active().version
            before = visitors.count(version)
            wait_for(lambda: web.get_state().model_version == version)  # noqa: B023 - asked at once
            wait_for(lambda: visitors.count(version) >= before + 2)  # noqa: B023 - asked at once
            if switch % 5 == 2:
                make_listing().delete()
                compact(force=True)
    assert visitors.faults == []
    made_by = dict(IndexSnapshot.objects.values_list("pk", "model__version"))
    for kind, query, answer in visitors.answers:
        assert made_by[answer["index"]["snapshot"]] == answer["model"]
        assert len(answer["results"]) == LISTINGS - (kind == "_similar")
        for result in answer["results"]:
            cosine = expected[answer["model"]][query][result["listing"]["id"]]
            assert result["similarity"] == pytest.approx(cosine, abs=4e-3)
    assert {(kind, answer["model"]) for kind, _, answer in visitors.answers} == {
        (kind, model.version) for kind in ("_similar", "_search") for model in shop
    }
    apart = [
        abs(expected[old.version][a][b] - expected[new.version][a][b])
        for a in expected[old.version]
        for b in expected[old.version]
    ]
    assert max(apart) > 0.02  # else an answer could not be told from the other model's


def test_a_listing_uploaded_between_activation_and_rollback_is_found_as_soon_as_the_old_model_answers(web, shop):
    """Hazard 4, with real models."""
    old, new = shop
    registry.activate(new)
    wait_for(lambda: web.get_state().model_version == new.version)
    upload = make_listing()
    make_image(upload, 77)
    WorkerLoop().run_slice()
    compact(force=True)
    make_image(make_listing(), 79)
    WorkerLoop().run_slice()
    registry.roll_back()
    wait_for(lambda: web.get_state().model_version == old.version)
    assert first_hit(77) == upload.pk
    assert web.get_state().rows == LISTINGS + 2


def first_hit(seed):
    photo = SimpleUploadedFile("photo.jpg", draw_photo(seed), "image/jpeg")
    response = api(make_user(staff=True)).post(SEARCH, {"image": photo}, format="multipart")
    best = max(response.json()["results"], key=lambda result: result["similarity"])
    return best["listing"]["id"]


def test_a_process_that_cannot_load_the_new_model_goes_on_with_the_old_one_and_says_so(
    web, shop, settings, tmp_path, monkeypatch
):
    old, new = shop
    assert first_hit(3)  # this process searches with photos
    embedders.evict_model(new.pk)
    settings.MODELS_ROOT, there = tmp_path, settings.MODELS_ROOT
    registry.activate(new)
    wait_for(lambda: web.health().problem is not None)
    assert "recipe.json is missing" in web.health().problem
    registry.roll_back()
    wait_for(lambda: web.health().problem is None)
    registry.activate(new)
    wait_for(lambda: web.health().problem is not None)
    upload = make_listing()
    make_image(upload, 78)
    settings.MODELS_ROOT = there
    WorkerLoop().run_slice()
    embedders.evict_model(new.pk)
    assert web.get_state().model_version == old.version
    wait_for(lambda: first_hit(78) == upload.pk)
    monkeypatch.setattr(plan_refresh, "REOPEN_SECONDS", 0)
    wait_for(lambda: web.get_state().model_version == new.version)
    wait_for(lambda: web.health().problem is None)
    assert embedders.is_loaded(new.pk)
