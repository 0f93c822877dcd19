"""A picture in, the most similar pictures of an extracted folder out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ml.errors import MlError
from ml.images import CLEAN_SIDE, PhotoRefused, decode_file, make_clean_picture
from ml.inference.arrays import Vectors, is_indexable
from ml.inference.embedder import Embedder

from .vector_folder import Hit, VectorFolder


class QueryPictureError(MlError):
    """The picture to search with cannot be used; the message names the file and the reason."""


def search_folder(extracted: VectorFolder, picture: Path, embedder: Embedder, k: int) -> list[Hit]:
    """The `k` pictures of an extracted folder that are most similar to `picture`, the best first.

    Raises:
        VectorFolderError: the folder was extracted with another model.
        QueryPictureError: `picture` is none.
    """
    extracted.refuse_other_model(embedder)
    return extracted.search(embed_query(picture, embedder), k)


def embed_query(picture: Path, embedder: Embedder) -> Vectors:
    """float32[dim], length 1, prepared as the pictures of a folder are.

    Raises:
        QueryPictureError: it cannot be read or decoded, or the model computes nothing for it.
    """
    try:
        prepared = embedder.prepare(make_clean_picture(decode_file(picture, CLEAN_SIDE)))
    except OSError as exc:
        raise QueryPictureError(f"{picture} cannot be read: {exc.strerror}.") from exc
    except PhotoRefused as refusal:
        raise QueryPictureError(f"{picture}: {refusal.reason}") from refusal
    vectors = embedder.embed(prepared[np.newaxis])
    if not is_indexable(vectors).all():
        raise QueryPictureError(f"{picture}: the model computes no usable vector for this picture.")
    return vectors[0]
