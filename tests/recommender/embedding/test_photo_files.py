from __future__ import annotations

import numpy as np
import pytest
from django.core.files.storage import default_storage

from ml.images import Encoded, decode, make_derivatives
from recommender.embedding import photo_files
from recommender.embedding.embedder_cache import embedders
from recommender.embedding.photo_files import StorageTrouble
from tests.factories import draw_photo, make_image, make_listing
from tests.recommender.queue_rows import media_files

pytestmark = pytest.mark.usefixtures("empty_storage")

ENCODED = Encoded(b"clean", b"thumb", 40, 30)


def test_saved_derivatives_have_names_nobody_else_uses():
    first, second = photo_files.save_derivatives(ENCODED), photo_files.save_derivatives(ENCODED)
    assert len({first.clean, first.thumb, second.clean, second.thumb}) == 4
    assert (first.width, first.height) == (40, 30)
    assert photo_files.read_file(default_storage, first.clean) == b"clean"


def test_a_thumb_that_cannot_be_stored_leaves_no_clean_file_behind(settings):
    settings.MEDIA_ROOT.mkdir(parents=True)
    (settings.MEDIA_ROOT / "thumb").write_text("in the way")
    with pytest.raises(StorageTrouble):
        photo_files.save_derivatives(ENCODED)
    assert media_files() == {"thumb"}


def test_copies_are_files_of_their_own():
    source = photo_files.save_derivatives(ENCODED)
    copied = photo_files.copy_derivatives(source)
    photo_files.discard_derivatives([source])
    assert photo_files.read_file(default_storage, copied.thumb) == b"thumb"
    assert media_files() == {copied.clean, copied.thumb}


def test_discarding_what_is_gone_is_no_error():
    made = photo_files.save_derivatives(ENCODED)
    photo_files.discard_derivatives([made, None])
    photo_files.discard_derivatives([made])
    assert media_files() == set()


@pytest.mark.django_db
def test_storage_is_mounted_when_any_other_original_is_found(settings):
    photo, other = make_image(make_listing()), make_image(make_listing())
    assert photo_files.is_any_other_original_found([photo.pk])
    other.original.storage.delete(other.original.name)
    assert not photo_files.is_any_other_original_found([photo.pk])


@pytest.mark.django_db(transaction=True)
def test_the_picture_in_memory_and_the_stored_one_give_the_same_vector(untrained):
    """The clean picture is embedded before it is stored, and later from its file."""
    embedder = embedders.load_embedder(untrained)
    for seed in range(4):
        clean, encoded = make_derivatives(draw_photo(seed, size=(640, 480), quality=95))
        memory, disk = embedder.embed(np.stack([embedder.prepare(image) for image in (clean, decode(encoded.clean))]))
        assert memory @ disk > 0.995
