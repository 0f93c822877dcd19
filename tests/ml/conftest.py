import pytest

from ml.inference.embedder import Embedder
from tests.built_models import untrained_model_dir


@pytest.fixture(scope="session")
def model_dir():
    return untrained_model_dir()


@pytest.fixture(scope="session")
def embedder(model_dir):
    return Embedder.load(model_dir, threads=2)
