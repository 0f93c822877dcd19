"""The vector of a photo that somebody searches with, prepared as workers prepare the photos of listings.

Two vectors can be compared only if both photos were decoded, cleaned and scaled in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from django.core.files.base import File
from numpy.typing import NDArray
from PIL import Image

from listings.photos.uploads import check_photo
from ml import images
from ml.images.derivatives import Box
from ml.inference.arrays import is_indexable
from recommender.embedding.embedder_cache import embedders
from recommender.errors import ModelNotReady
from recommender.models import EmbeddingModel


class Busy(Exception):
    """This machine can decode no other photo now."""


def embed_photo(upload: File, model: EmbeddingModel, box: Box | None = None) -> NDArray[np.float32]:
    """float32[1, dim], L2-normalised, of an uploaded photo or of the part of it in `box`.

    Raises PhotoRefused, ModelNotReady, Busy.
    """
    data = check_photo(upload).file.read()
    embedder = embedders.load_embedder(model)
    with take_decoding_place():
        picture = _decode_clean_picture(data, box)
        # The part in the box may be plain though the whole is not, and a large file was not decoded until now.
        images.refuse_plain_picture(picture)
        pixels = embedder.prepare(picture)
    vectors = embedder.embed(pixels[np.newaxis])
    if not is_indexable(vectors).all():
        raise ModelNotReady(f"Model {model.version} gives no usable vector for this photo; try another one.")
    return vectors


def _decode_clean_picture(data: bytes, box: Box | None) -> Image.Image:
    """The clean picture of a photo, or of a part of it."""
    if box is None:
        return images.make_clean_picture(images.decode(data, images.CLEAN_SIDE))
    # The smaller the part, the larger the whole is decoded, so that the part has as many pixels as a whole photo has.
    side = math.ceil(images.CLEAN_SIDE / min(box[2:]))
    return images.make_clean_picture(images.crop(images.decode(data, side), box))


@contextmanager
def take_decoding_place() -> Iterator[None]:
    """Hold one of this process's places for decoding. Raises Busy at once when all are taken."""
    with images.try_decoding_place() as has_place:
        if not has_place:
            raise Busy("Too many photos are being searched with at this moment. Try again in a second.")
        try:
            yield
        except ChildProcessError as exc:
            raise Busy("HEIC and AVIF photos cannot be opened here at the moment. Try again later.") from exc
