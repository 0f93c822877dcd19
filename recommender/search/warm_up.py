"""What a web process loads before it says that it is ready: the model, which the first search by photo would wait for.

A process whose model is missing or broken is ready all the same: everything but search by photo works, which says why.
After a switch of models the index loads the next one before it answers by it (`model_hooks`).
"""

from __future__ import annotations

import logging
import threading

from django.db import Error as DatabaseError
from django.db import connection

from ml.per_process import PerProcess
from recommender.embedding.embedder_cache import embedders
from recommender.embedding.self_test import check_embedder
from recommender.errors import ModelNotReady
from recommender.models import EmbeddingModel

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0


class WarmUp:
    """Loads the active model once, on a thread, and tries it; `is_over` tells that nobody has to wait for it."""

    def __init__(self) -> None:
        self._over = threading.Event()

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    def start(self) -> None:
        threading.Thread(target=self.run, name="warm-up", daemon=True).start()

    def run(self) -> None:
        try:
            while not self._load_active_model():
                # Without a database nothing else is ready either.
                threading.Event().wait(RETRY_SECONDS)
        finally:
            self._over.set()

    def _load_active_model(self) -> bool:
        """Whether it was tried; not while the database does not answer."""
        try:
            if model := EmbeddingModel.objects.find_active():
                check_embedder(model, embedders.load_embedder(model))
        except DatabaseError:
            return False
        except ModelNotReady as exc:
            logger.warning("search by photo has to wait for its model: %s", exc)
        finally:
            connection.close()
        return True


own_warm_up = PerProcess(WarmUp)


def start_warm_up() -> None:
    """Each web process calls it, after the fork."""
    own_warm_up.get().start()


def is_warm() -> bool:
    """Whether this process has loaded its model, or tried to; so is one that loads it when it is first needed."""
    warm_up = own_warm_up.get_if_made()
    return warm_up is None or warm_up.is_over
