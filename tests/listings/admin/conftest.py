import pytest

from tests.factories import make_user


@pytest.fixture
def staff(client):
    person = make_user(staff=True)
    client.force_login(person)
    return person
