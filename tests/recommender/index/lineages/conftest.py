import pytest

from tests.recommender.queue_rows import make_model


@pytest.fixture
def other(model):
    """A second model, of another dimension, being backfilled."""
    return make_model("backfilling", version="m2", dim=8)
