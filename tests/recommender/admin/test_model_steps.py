"""The steps of a model's life in the admin: who may take them, and that looking changes nothing."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from recommender.models import EmbeddingModel
from tests.factories import make_user
from tests.recommender.admin.pages import change, person, step, text
from tests.recommender.queue_rows import bulk_photos, make_model
from tests.recommender.registered import embedded_by, state_of

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = ("backfill", "activate", "rollback", "retire")


class TestPeople:
    @pytest.fixture
    def models(self):
        old, new = make_model(version="old"), make_model("backfilling", version="new")
        candidate = make_model("candidate", version="next")
        for model in (old, new):
            embedded_by(model)
        return old, new, candidate

    def unchanged(self, models) -> bool:
        return [state_of(model) for model in models] == ["active", "backfilling", "candidate"]

    @pytest.mark.parametrize("name", STEPS)
    @pytest.mark.parametrize(("who", "status"), [("visitor", 302), ("seller", 302), ("staff", 403), ("reader", 403)])
    def test_only_staff_who_may_change_models_takes_steps(self, models, name, who, status, reader):
        client = {"visitor": Client(), "seller": person(staff=False), "staff": person(), "reader": reader}[who]
        for model in models:
            assert client.get(step(model, name)).status_code == status
            assert client.post(step(model, name)).status_code == status
        assert self.unchanged(models)
        assert not LogEntry.objects.exists()

    @pytest.mark.parametrize("name", STEPS)
    def test_looking_at_a_step_changes_nothing(self, models, name, operator):
        for model in models:
            assert operator.get(step(model, name)).status_code == 200
            assert operator.head(step(model, name)).status_code == 200
        assert self.unchanged(models)
        assert not LogEntry.objects.exists()

    def test_a_post_without_the_forms_token_is_refused(self, models):
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(make_user(staff=True))
        assert strict.post(step(models[1], "activate")).status_code == 403
        assert self.unchanged(models)

    def test_a_reader_sees_models_but_no_buttons(self, models, reader):
        page = text(reader.get(change(models[1])))
        assert "It can be activated." in page
        assert not any(step(models[1], name) in page for name in STEPS)

    def test_a_model_that_is_gone_is_not_found(self, models, operator):
        gone = step(models[2], "backfill")
        models[2].delete()
        assert operator.get(gone).status_code == 404
        assert operator.post(gone).status_code == 404


class TestSteps:
    def take(self, client: Client, model: EmbeddingModel, name: str) -> str:
        response = client.post(step(model, name), follow=True)
        assert response.redirect_chain == [(change(model), 302)]
        return text(response)

    def log(self) -> list[tuple[str, str]]:
        return list(LogEntry.objects.order_by("pk").values_list("object_repr", "change_message"))

    def test_a_model_lives_from_candidate_to_retirement(self, operator):
        old, new = (
            make_model(version="old", activated_at="2026-01-01T00:00:00Z"),
            make_model("candidate", version="new"),
        )
        bulk_photos(3)
        embedded_by(old)
        assert "Model new is being backfilled." in self.take(operator, new, "backfill")
        assert state_of(new) == "backfilling"
        embedded_by(new)
        assert "Model new answers now." in self.take(operator, new, "activate")
        assert (state_of(old), state_of(new)) == ("standby", "active")
        assert "Rolled back from new." in self.take(operator, new, "rollback")
        assert (state_of(old), state_of(new)) == ("active", "standby")
        assert "Model new is retired." in self.take(operator, new, "retire")
        assert state_of(new) == "retired"
        assert [message for _, message in self.log()] == [
            "Model new is being backfilled.",
            "Model new answers now.",
            "Rolled back from new.",
            "Model new is retired.",
        ]

    def test_what_the_registry_refuses_is_said_in_its_words_and_not_logged(self, operator):
        make_model(version="old")
        new = make_model("backfilling", version="new")
        bulk_photos(3)
        assert "Nothing was changed. 3 of 3 photos are not embedded by new yet" in self.take(operator, new, "activate")
        assert state_of(new) == "backfilling"
        assert self.log() == []

    def test_a_rollback_of_a_model_that_was_replaced_meanwhile_does_nothing(self, operator):
        old = make_model("standby", version="old", activated_at="2026-01-01T00:00:00Z")
        now = make_model(version="now")
        assert "Nothing was changed. old is not active any more" in self.take(operator, old, "rollback")
        assert (state_of(old), state_of(now)) == ("standby", "active")

    @pytest.mark.parametrize(
        ("state", "buttons"),
        [
            ("candidate", {"backfill", "activate", "retire"}),
            ("backfilling", {"activate", "retire"}),
            ("active", {"rollback"}),
            ("standby", {"activate", "retire"}),
            ("retired", {"backfill"}),
        ],
    )
    def test_a_page_offers_what_its_state_allows(self, operator, state, buttons):
        model = make_model(state)
        page = text(operator.get(change(model)))
        assert {name for name in STEPS if f'href="{step(model, name)}"' in page} == buttons

    def test_the_page_says_what_will_happen(self, operator):
        old, new = (
            make_model(version="old", activated_at="2026-01-01T00:00:00Z"),
            make_model("backfilling", version="new"),
        )
        bulk_photos(3)
        embedded_by(old)
        embedded_by(new)
        page = text(operator.get(step(new, "activate")))
        assert "Every answer comes from new from now on" in page
        assert "old goes to standby" in page
        assert '<input type="submit" value="Activate new">' in page

    @pytest.mark.parametrize(
        ("state", "name", "why"),
        [
            ("backfilling", "activate", "3 of 3 photos are not embedded by new yet"),
            ("candidate", "activate", "run `manage.py models backfill new` first"),
            ("backfilling", "rollback", "new is not active"),
        ],
    )
    def test_the_page_says_what_stands_in_the_way_and_has_no_button(self, operator, state, name, why):
        make_model(version="old")
        new = make_model(state, version="new")
        bulk_photos(3)
        page = text(operator.get(step(new, name)))
        assert "This cannot be done now." in page
        assert why in page
        assert 'type="submit"' not in page.partition('id="content"')[2]

    def test_the_only_active_model_cannot_be_rolled_back(self, operator):
        page = text(operator.get(step(make_model(), "rollback")))
        assert "No model is on standby" in page

    def test_the_first_model_is_activated_without_a_backfill(self, operator):
        first = make_model("candidate", version="first")
        assert "This cannot be done now." not in text(operator.get(step(first, "activate")))
        assert "Model first answers now." in self.take(operator, first, "activate")
