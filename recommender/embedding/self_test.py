"""A worker leases photos only after it has embedded one it drew itself, so that its own faults cost no photo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from ml import images
from ml.errors import find_cause_line
from ml.images import PhotoRefused
from ml.inference.arrays import is_indexable
from recommender.errors import ModelNotReady

if TYPE_CHECKING:
    from ml.inference.embedder import Embedder
    from recommender.models import EmbeddingModel


def check_embedder(model: EmbeddingModel, embedder: Embedder) -> None:
    """Decode and embed a picture that was drawn here.

    Raises:
        ModelNotReady: the decoder or the model does not do what it should.
    """
    try:
        clean = images.make_clean_picture(images.decode(images.encode_jpeg(draw_picture())))
    except PhotoRefused as exc:
        raise ModelNotReady(f"This machine cannot decode a picture it drew: {exc.reason}") from exc
    try:
        vector = embedder.embed(np.stack([embedder.prepare(clean)]))[0]
    except RuntimeError as exc:
        raise ModelNotReady(
            f"Model {model.version} cannot embed a drawn picture in this process; if that lasts, start the worker "
            f"again. {find_cause_line(exc)}"
        ) from exc
    if vector.shape != (model.dim,) or not is_indexable(vector[np.newaxis]).all():
        raise ModelNotReady(
            f"Model {model.version} gives no usable vector of {model.dim} dimensions for a drawn picture; "
            "register it again."
        )


def draw_picture() -> Image.Image:
    picture = Image.new("RGB", (320, 240), (214, 203, 180))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((60, 40, 200, 180), fill=(150, 40, 40))
    draw.rectangle((180, 120, 280, 220), fill=(30, 70, 120))
    return picture
