import pytest

from listings import slots
from listings.limits import rates


@pytest.fixture
def bare_pages(monkeypatch):
    """Pages without what other rooms show in them."""
    monkeypatch.setattr(slots, "_fillers", {})


@pytest.fixture
def closed_breaker():
    """Throttles ask the cache, even right after a test that took it away."""
    rates.breaker.record_success()
    yield
    rates.breaker.record_success()
