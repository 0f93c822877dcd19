import pytest

from listings import slots


@pytest.fixture
def bare_pages(monkeypatch):
    """Pages without what other rooms show in them."""
    monkeypatch.setattr(slots, "_fillers", {})
