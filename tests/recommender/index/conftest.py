import pytest

from recommender import feed
from recommender.index import Index
from recommender.index.compaction.compactor import own_compactor
from tests.recommender.index import catalogue


@pytest.fixture(autouse=True)
def index_root(settings, tmp_path):
    settings.INDEX_ROOT = tmp_path / "index"
    own_compactor.forget()
    return settings.INDEX_ROOT


@pytest.fixture
def model(transactional_db):
    feed.prune_rows(feed.current_position())  # on SQLite the flush before this test fired the delete triggers
    return catalogue.active_model()


@pytest.fixture
def index(model):
    return Index()
