import pytest

from tests.recommender.admin.pages import person


@pytest.fixture
def operator():
    return person("view_embeddingmodel", "change_embeddingmodel")


@pytest.fixture
def reader():
    return person("view_embeddingmodel")
