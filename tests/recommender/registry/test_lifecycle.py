"""A model is replaced in one transaction, only when nothing is lost by it, and the one before can come back."""

import threading

import pytest
from django.db import connection, transaction

from listings.models import ListingImage
from recommender import feed, registry
from recommender.admin.model_steps import STEP_BY_NAME
from recommender.embedding import sweep
from recommender.embedding.queue import MAX_FAILURES
from recommender.errors import RegistryError
from recommender.index import Filter, compact, find_nearest_listings, get_index
from recommender.index.compaction.compactor import own_compactor
from recommender.index.storage.segment import VECTORS
from recommender.models import Calibration, Embedding, EmbeddingModel, IndexHead, IndexSnapshot
from tests.recommender.index import catalogue
from tests.recommender.index.catalogue import embed_all
from tests.recommender.queue_rows import bulk_photos, make_model

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _fresh(fresh_index):
    feed.prune_rows(feed.current_position())  # on SQLite the flush before this test fired the delete triggers
    own_compactor.forget()


@pytest.fixture
def old():
    """The active model, with its index, of a shop of thirty photos."""
    model = make_model(version="old", dim=16)
    catalogue.add_many(model, 30)
    compact(force=True)
    return model


@pytest.fixture
def new(old):
    """Ready to be activated."""
    model = make_model("backfilling", version="new", dim=24)
    embed_all(model)
    compact(force=True)
    return model


def test_a_model_whose_cosines_mean_nothing_cannot_be_activated(new):
    Calibration.objects.filter(model=new).delete()
    with pytest.raises(RegistryError, match=r"what a cosine of new means; run `manage\.py models calibrate new`"):
        registry.activate(new)
    assert registry.measure_progress(new).ready is False


def test_a_rollback_is_not_refused_for_it(old, new):
    registry.activate(new)
    Calibration.objects.filter(model=old).delete()
    assert registry.roll_back() == old


def state_of(model):
    return EmbeddingModel.objects.get(pk=model.pk).state


def served():
    return IndexHead.load().snapshot.model.version


def listings_found():
    index = get_index()
    index.refresh()
    state = index.get_state()
    found = find_nearest_listings(state, catalogue.unit(1, state.dim).astype("float32"), 1000, Filter())
    return state.model_version, set(found.listing.tolist())


def test_the_first_model_is_activated_at_once_for_nothing_answers_yet():
    bulk_photos(2)
    model = make_model("candidate")
    assert registry.measure_progress(model).ready
    registry.activate(model)
    assert EmbeddingModel.objects.find_active() == model
    model.refresh_from_db()
    assert model.activated_at is not None


def test_states_and_head_flip_together_and_back_again(old, new):
    registry.activate(new)
    assert (state_of(old), state_of(new), served()) == ("standby", "active", "new")
    assert registry.roll_back() == old
    assert (state_of(old), state_of(new), served()) == ("active", "standby", "old")
    assert registry.roll_back() == new
    assert (state_of(old), state_of(new), served()) == ("standby", "active", "new")


def test_activating_the_active_model_changes_nothing(old, new):
    registry.activate(new)
    head = IndexHead.load().snapshot_id
    registry.activate(new)
    assert (state_of(new), IndexHead.load().snapshot_id) == ("active", head)


def test_activation_refuses_a_candidate_while_another_model_answers(old):
    candidate = make_model("candidate", version="third")
    with pytest.raises(RegistryError, match=r"third is candidate; run `manage.py models backfill third` first"):
        registry.activate(candidate)
    assert EmbeddingModel.objects.find_active() == old


def test_activation_refuses_while_photos_are_queued_and_names_the_numbers(old, new):
    catalogue.add_many(old, 3, start=50)
    with pytest.raises(RegistryError, match=r"^3 of 33 photos are not embedded by new yet"):
        registry.activate(new)
    assert (state_of(old), state_of(new), served()) == ("active", "backfilling", "old")


def test_activation_counts_photos_without_a_queue_row(old, new):
    """Hazard 3: nothing is pending for a photo that was saved while the model was registered."""
    ListingImage.objects.last().embeddings.filter(model=new).delete()
    assert not Embedding.objects.filter(model=new).exclude(state="done").exists()
    with pytest.raises(RegistryError, match=r"^1 of 30 photos"):
        registry.activate(new)
    sweep.sweep_queue()
    embed_all(new)
    registry.activate(new)
    assert served() == "new"


@pytest.mark.postgres_only
def test_a_photo_whose_save_was_under_way_while_the_model_was_registered_is_waited_for(old):
    """Hazard 3, on two connections."""
    saved, go = threading.Event(), threading.Event()

    def save():
        with transaction.atomic():
            catalogue.add_listing(old)
            saved.set()
            go.wait(30)
        connection.close()

    saver = threading.Thread(target=save)
    saver.start()
    saved.wait(30)
    new = make_model("candidate", version="new", dim=24)
    registry.start_backfill(new)
    embed_all(new)
    compact(force=True)
    go.set()
    saver.join()
    assert not Embedding.objects.filter(model=new).exclude(state="done").exists()
    with pytest.raises(RegistryError, match=r"^1 of 31 photos"):
        registry.activate(new)
    sweep.sweep_queue()
    embed_all(new)
    registry.activate(new)
    assert len(listings_found()[1]) == 31


def test_rejected_photos_and_a_few_that_failed_for_good_keep_no_model_waiting(old, new):
    rows = Embedding.objects.filter(model=new).order_by("pk")
    rejected, *failed = rows.values_list("pk", flat=True)[:3]
    Embedding.objects.filter(pk=rejected).update(state="rejected", vector=None)
    Embedding.objects.filter(pk__in=failed).update(state="failed", vector=None, attempts=MAX_FAILURES - 1)
    with pytest.raises(RegistryError, match=r"^2 of 30 photos are not embedded"):
        registry.activate(new)
    Embedding.objects.filter(pk__in=failed).update(attempts=MAX_FAILURES)
    now = registry.measure_progress(new)
    assert (now.photos, now.done, now.open, now.rejected, now.failed, now.missing) == (30, 27, 0, 1, 2, 0)
    registry.activate(new)
    assert served() == "new"


def test_many_photos_that_failed_for_good_speak_against_the_model(old, new):
    rows = Embedding.objects.filter(model=new).order_by("pk").values_list("pk", flat=True)[:11]
    Embedding.objects.filter(pk__in=list(rows)).update(state="failed", vector=None, attempts=MAX_FAILURES)
    with pytest.raises(RegistryError, match=r"^11 of 30 photos could not be embedded by new in 8 tries"):
        registry.activate(new)


def test_activation_refuses_a_model_without_an_index(old):
    new = make_model("backfilling", version="new", dim=24)
    embed_all(new)
    with pytest.raises(RegistryError, match="no index of new yet"):
        registry.activate(new)
    assert registry.measure_progress(new).snapshot_rows is None
    compact()
    assert registry.measure_progress(new).snapshot_rows == 30
    registry.activate(new)


def test_a_snapshot_behind_the_pruned_feed_cannot_be_activated_or_rolled_back_to(old, new):
    """Hazard 9."""
    registry.activate(new)
    catalogue.add_many(new, 1, start=70)
    IndexHead.objects.update(horizon=feed.current_position())
    with pytest.raises(RegistryError, match=r"Snapshot \d+ of old is behind the pruned part of the feed"):
        registry.roll_back()
    embed_all(old)
    with pytest.raises(RegistryError, match="behind the pruned part"):
        registry.activate(old)
    assert (state_of(old), state_of(new), served()) == ("standby", "active", "new")


def test_what_was_uploaded_under_the_new_model_is_found_after_the_rollback(old, new):
    """Hazard 4: the model on standby is embedded, fed and indexed as before."""
    registry.activate(new)
    before = listings_found()[1]
    upload = catalogue.add_listing(new)
    for _ in range(3):
        compact(force=True)  # prunes what every line has
    embed_all(old)
    registry.roll_back()
    assert listings_found() == ("old", before | {upload.pk})


def test_a_rollback_does_not_wait_for_a_few_photos(old, new):
    registry.activate(new)
    catalogue.add_many(new, 10, start=50)
    with pytest.raises(RegistryError, match=r"^10 of 40 photos are not embedded by old"):
        registry.activate(old)
    registry.roll_back()
    assert served() == "old"


def test_a_rollback_that_would_lose_many_photos_is_refused(old, new):
    registry.activate(new)
    catalogue.add_many(new, 11, start=50)
    with pytest.raises(RegistryError, match=r"^11 of 41 photos are not embedded by old"):
        registry.roll_back()
    assert served() == "new"


def test_two_people_who_roll_back_at_once_do_not_end_where_they_began(old, new):
    registry.activate(new)
    new.refresh_from_db()
    refused = []

    def second():
        try:
            STEP_BY_NAME["rollback"].do(new)
        except RegistryError as exc:
            refused.append(str(exc))
        connection.close()

    late = threading.Thread(target=second)
    with transaction.atomic():
        STEP_BY_NAME["rollback"].do(new)
        late.start()
        late.join(0.5)
    late.join()
    assert refused == ["new is not active any more; look at the list before you roll back."]
    assert served() == "old"


def test_there_is_nothing_to_roll_back_to_before_the_second_activation(old):
    with pytest.raises(RegistryError, match="No model is on standby"):
        registry.roll_back()


def test_a_retired_model_leaves_no_vector_and_no_file_and_can_be_embedded_again(old, new, settings):
    registry.activate(new)
    with pytest.raises(RegistryError, match="new is the active model"):
        registry.retire_and_delete(new)
    registry.retire_and_delete(old)
    assert state_of(old) == "retired"
    assert set(Embedding.objects.values_list("model__version", flat=True)) == {"new"}
    assert not IndexSnapshot.objects.filter(model=old, state="published").exists()
    vectors = list(settings.INDEX_ROOT.rglob(VECTORS))
    assert [path.parent.name for path in vectors] == [IndexHead.load().snapshot.segments[0]["name"]]
    with pytest.raises(RegistryError, match="No model is on standby"):
        registry.roll_back()
    assert len(listings_found()[1]) == 30
    registry.start_backfill(old)
    embed_all(old)
    compact(force=True)
    registry.activate(old)
    assert listings_found()[0] == "old"


def test_what_a_crash_left_of_a_retired_model_is_deleted_by_the_next_collection(old, new):
    EmbeddingModel.objects.filter(pk=new.pk).update(state="retired")
    assert sweep.collect_garbage()["retired"] == 30
    assert not Embedding.objects.filter(model=new).exists()


def test_only_a_candidate_or_a_retired_model_is_backfilled(old):
    model = make_model("candidate")
    registry.start_backfill(model)
    assert state_of(model) == "backfilling"
    with pytest.raises(RegistryError, match="Only a candidate or a retired model"):
        registry.start_backfill(model)
