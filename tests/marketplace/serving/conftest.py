import pytest


@pytest.fixture
def site():
    # Not at the top of the module, because the tests have their own settings only after all these were loaded.
    from .site import Site

    site = Site()
    yield site
    site.close()
