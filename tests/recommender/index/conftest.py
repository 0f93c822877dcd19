import pytest

from recommender.index import Index, compaction
from tests.recommender.index import catalogue


@pytest.fixture(autouse=True)
def index_root(settings, tmp_path):
    settings.INDEX_ROOT = tmp_path / "index"
    compaction._readers.clear()
    return settings.INDEX_ROOT


@pytest.fixture
def model(transactional_db):
    return catalogue.active_model()


@pytest.fixture
def index(model):
    return Index()
