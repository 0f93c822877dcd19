"""The vector of a photo that somebody searches with, prepared as workers prepare the photos of listings.

Two vectors can be compared only if both photos were decoded, cleaned and scaled in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from django.core.files.base import File
from numpy.typing import NDArray

from listings.limits.turns import NoTurn, Turns
from listings.photos.uploads import check_header
from ml import images
from ml.images import Box
from ml.inference.arrays import is_indexable
from ml.per_process import PerProcess
from recommender.embedding.embedder_cache import embedders
from recommender.errors import ModelNotReady
from recommender.models import EmbeddingModel

# A decoded photo takes memory and time, and a web process answers several visitors at once.
PHOTOS_AT_ONCE = 2
decoding_turns = PerProcess(lambda: Turns(PHOTOS_AT_ONCE))


class Busy(Exception):
    """This machine can decode no other photo now."""


def embed_photo(upload: File, model: EmbeddingModel, box: Box | None = None, *, caller: str) -> NDArray[np.float32]:
    """float32[1, dim], L2-normalised, of an uploaded photo or of the part of it in `box`.

    Raises PhotoRefused, PartRefused, ModelNotReady, Busy.
    """
    with take_decoding_turn(caller):
        photo = check_header(upload)
        if box:
            images.refuse_small_part(box, (photo.width, photo.height))
        embedder = embedders.load_embedder(model)
        # The smaller the part, the larger the whole is decoded, so that the part has as many pixels as a photo has.
        picture = images.make_clean_picture(images.decode(photo.file.read(), images.CLEAN_SIDE, box))
        images.refuse_plain_picture(picture)
        pixels = embedder.prepare(picture)
    vectors = embedder.embed(pixels[np.newaxis])
    if not is_indexable(vectors).all():
        raise ModelNotReady(f"Model {model.version} gives no usable vector for this photo; try another one.")
    return vectors


@contextmanager
def take_decoding_turn(caller: str) -> Iterator[None]:
    """Hold one of this process's places for decoding, of which a caller has one at a time. Raises Busy."""
    try:
        with decoding_turns.get().take_turn(caller):
            yield
    except NoTurn as exc:
        raise Busy("Too many photos are being searched with at this moment. Try again in a second.") from exc
    except (ChildProcessError, TimeoutError) as exc:
        raise Busy("This photo cannot be opened here at the moment. Try again later.") from exc
