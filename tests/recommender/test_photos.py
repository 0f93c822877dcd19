from __future__ import annotations

import numpy as np
import pytest
from django.core.files.storage import default_storage

from ml.images import decode
from recommender import photos, registry
from recommender.photos import Encoded, StorageTrouble
from tests.factories import draw_photo, make_image, make_listing
from tests.recommender.embedding import media_files

pytestmark = pytest.mark.usefixtures("empty_storage")

ENCODED = Encoded(b"clean", b"thumb", 40, 30)


def test_saved_derivatives_have_names_nobody_else_uses():
    first, second = photos.save(ENCODED), photos.save(ENCODED)
    assert len({first.clean, first.thumb, second.clean, second.thumb}) == 4
    assert (first.width, first.height) == (40, 30)
    assert photos.read(default_storage, first.clean) == b"clean"


def test_a_thumb_that_cannot_be_stored_leaves_no_clean_file_behind(settings):
    settings.MEDIA_ROOT.mkdir(parents=True)
    (settings.MEDIA_ROOT / "thumb").write_text("in the way")
    with pytest.raises(StorageTrouble):
        photos.save(ENCODED)
    assert media_files() == {"thumb"}


def test_copies_are_files_of_their_own():
    source = photos.save(ENCODED)
    copied = photos.copy(source)
    photos.discard([source])
    assert photos.read(default_storage, copied.thumb) == b"thumb"
    assert media_files() == {copied.clean, copied.thumb}


def test_discarding_what_is_gone_is_no_error():
    made = photos.save(ENCODED)
    photos.discard([made, None])
    photos.discard([made])
    assert media_files() == set()


def test_derivatives_carry_the_size_of_the_upright_original():
    picture = photos.derive(draw_photo(3, size=(1200, 900)))
    assert picture.image.size == (512, 384)
    assert (picture.encoded.width, picture.encoded.height) == (1200, 900)
    assert decode(picture.encoded.thumb).size == (320, 240)


@pytest.mark.django_db
def test_storage_answers_when_any_other_original_is_found(settings):
    photo, other = make_image(make_listing()), make_image(make_listing())
    assert photos.storage_answers([photo.pk])
    other.original.storage.delete(other.original.name)
    assert not photos.storage_answers([photo.pk])


@pytest.mark.django_db(transaction=True)
def test_the_picture_in_memory_and_the_stored_one_give_the_same_vector(untrained):
    """The clean picture is embedded before it is stored, and later from its file."""
    embedder = registry.load_embedder(untrained)
    for seed in range(4):
        picture = photos.derive(draw_photo(seed, size=(640, 480), quality=95))
        stored = decode(picture.encoded.clean)
        memory, disk = embedder.embed(np.stack([embedder.prepare(image) for image in (picture.image, stored)]))
        assert memory @ disk > 0.995
