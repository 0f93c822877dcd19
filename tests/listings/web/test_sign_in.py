import pytest
from rest_framework.settings import api_settings

from tests.factories import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bare_pages")]

SIGN_IN = "/sign-in/"


@pytest.fixture
def mira():
    return make_user("mira", password="correct horse")


def sign_in(client, **fields):
    return client.post(SIGN_IN, {"username": "mira", "password": "correct horse", **fields})


@pytest.mark.usefixtures("mira")
def test_signing_in_leads_where_one_wanted_to_go(client):
    assert sign_in(client, next="/sell/").url == "/sell/"
    assert client.get("/sell/").status_code == 200


@pytest.mark.usefixtures("mira")
def test_signing_in_never_leads_to_another_site(client):
    assert sign_in(client, next="https://elsewhere.example/").url == "/"


@pytest.mark.usefixtures("mira")
@pytest.mark.parametrize("wrong", [{"password": "wrong"}, {"username": "nobody"}])
def test_wrong_credentials_are_refused_without_saying_which_was_wrong(client, wrong):
    response = sign_in(client, **wrong)
    assert response.status_code == 200
    assert "This username and password do not belong together." in response.content.decode()


@pytest.mark.usefixtures("mira")
def test_what_was_typed_is_kept_but_the_password(client):
    page = sign_in(client, password="battery staple").content.decode()
    assert 'value="mira"' in page
    assert "battery staple" not in page


@pytest.mark.usefixtures("mira")
def test_passwords_are_not_guessed_by_the_dozen(client, monkeypatch):
    monkeypatch.setitem(api_settings.DEFAULT_THROTTLE_RATES, "token", "2/h")
    for _ in range(2):
        assert sign_in(client, password="wrong").status_code == 200
    response = sign_in(client)
    assert response.status_code == 429
    assert "Too many passwords were tried. Wait" in response.content.decode()


@pytest.mark.usefixtures("mira", "broker_down")
def test_signing_in_needs_no_broker(client):
    assert sign_in(client).status_code == 302


def test_who_is_signed_in_needs_no_form(client, mira):
    client.force_login(mira)
    assert client.get(SIGN_IN).url == "/"


def test_signing_out_takes_a_button_not_a_link(client, mira):
    client.force_login(mira)
    assert client.get("/sign-out/").status_code == 405
    assert client.post("/sign-out/").url == "/"
    assert "Sign in" in client.get("/").content.decode()


@pytest.mark.usefixtures("mira")
def test_a_session_that_somebody_planted_is_not_the_one_that_is_signed_in(client, settings):
    client.session["planted"] = True
    client.session.save()
    planted = client.session.session_key
    sign_in(client)
    key = client.session.session_key
    assert key != planted
    assert client.cookies["sessionid"]["max-age"] == 12 * 3600
    client.post("/sign-out/")
    client.cookies["sessionid"] = key
    assert client.get("/my/").status_code == 302
