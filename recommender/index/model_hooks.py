"""What the index asks about models, as functions that it is given when Django starts.

The index neither loads networks nor reads the queue of photos, so that it can be tested, and replaced, without either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from recommender.models import EmbeddingModel


class PhotoCounts(Protocol):
    """How many photos a model shall embed, and how many of them still wait."""

    @property
    def photos(self) -> int: ...

    @property
    def waiting(self) -> int: ...


@dataclass(frozen=True)
class ModelHooks:
    """`recommender.apps` gives the real ones; tests give what they need.

    prepare_successor_embedder(serving, successor): called with two model ids before answers change from one
    model to the other, so that a process that embeds queries has an embedder that works. Raises: ModelNotReady.
    evict_retired_models(): called when another snapshot is served; embedders of retired models are needed no more.
    count_photos(model): tells whether enough photos are embedded to build a model's first snapshot.
    """

    prepare_successor_embedder: Callable[[int, int], None]
    evict_retired_models: Callable[[], None]
    count_photos: Callable[[EmbeddingModel], PhotoCounts]


_given: list[ModelHooks] = []


def set_model_hooks(hooks: ModelHooks) -> None:
    _given[:] = [hooks]


def get_model_hooks() -> ModelHooks:
    if not _given:
        raise RuntimeError("The index was given no model hooks: django.setup() was not called.")
    return _given[0]
