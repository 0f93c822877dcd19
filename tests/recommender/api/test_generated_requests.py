"""Requests that schemathesis makes from the API's own description: each answer is one that the description names.

What they hold is drawn by chance, also what no client would send. `make soak` makes some thousands, half of which break
the description.
"""

from contextlib import suppress

import pytest
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from listings.models import AccessToken
from tests.factories import make_listing, make_user

TOKEN = "fuzzed" * 8
IDENTITY = {"Accept-Encoding": "identity"}  # the client of these tests does not unpack answers


@pytest.fixture(autouse=True)
def keep_the_connection(db):
    """As Django's own test client does: with the connection, the test's transaction would be lost."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def sent(role):
    """The headers of a caller of this role; one listing of the seller's is there to be found."""
    people = {"seller": make_user(), "superuser": make_user(staff=True)}
    make_listing(people["seller"])
    if role == "visitor":
        return IDENTITY
    AccessToken.objects.create(user=people[role], digest=AccessToken.hash_token(TOKEN), beginning=TOKEN[:8])
    return IDENTITY | {"Authorization": f"Token {TOKEN}"}


@pytest.mark.parametrize("examples", [2, pytest.param(100, marks=[pytest.mark.soak, pytest.mark.timeout(1_200)])])
@pytest.mark.parametrize("role", ["visitor", "seller", "superuser"])
def test_each_answer_is_one_that_the_description_names(sent, examples):
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.core.result import Ok
    from schemathesis.generation import GenerationMode as Mode
    from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

    # 503 is an answer, as there is no index here; a wrong password is as described and refused; what a form leaves
    # empty is not described and taken for absent.
    excluded = [not_a_server_error, positive_data_acceptance, negative_data_rejection]

    def ask(case):
        response = case.call_and_validate(headers=sent, excluded_checks=excluded)
        assert response.status_code < 500 or response.status_code == 503

    described = schemathesis.openapi.from_dict(SchemaGenerator().get_schema(request=None, public=True))
    described.app = get_wsgi_application()
    drawn = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    modes = [Mode.POSITIVE] if examples < 10 else [Mode.POSITIVE, Mode.NEGATIVE]
    for result in described.get_all_operations():
        assert isinstance(result, Ok), result
        for mode in modes:
            with suppress(Unsatisfiable):  # nothing can be wrong in a request that has nothing but an address
                drawn(given(result.ok().as_strategy(generation_mode=mode))(ask))()
