"""The registry in the admin: what it shows, who may do what, and that looking changes nothing."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from recommender.models import Embedding, EmbeddingModel
from recommender.registry.evaluation import reports_folder
from tests.factories import make_user
from tests.recommender.queue_rows import bulk_photos, make_model
from tests.recommender.registered import EVALUATION, embedded_by, state_of

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = ("backfill", "activate", "rollback", "retire")
LIST = "/admin/recommender/embeddingmodel/"


def person(*permissions: str, staff: bool = True) -> Client:
    user = make_user()
    user.is_staff = staff
    user.save()
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def operator():
    return person("view_embeddingmodel", "change_embeddingmodel")


@pytest.fixture
def reader():
    return person("view_embeddingmodel")


def change(model: EmbeddingModel) -> str:
    return reverse("admin:recommender_embeddingmodel_change", args=[model.pk])


def step(model: EmbeddingModel, name: str) -> str:
    return reverse("admin:recommender_embeddingmodel_step", args=[model.pk, name])


def report(model: EmbeddingModel, name: str = EVALUATION["report"]) -> str:
    return f"{LIST}{model.pk}/reports/{name}"


def text(response) -> str:
    return response.content.decode()


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


class TestList:
    def test_shows_state_progress_figures_and_the_report(self, reader):
        old = make_model(version="old", metrics={"evaluations": [EVALUATION]})
        make_model("backfilling", version="new")
        make_model("candidate", version="next")
        bulk_photos(4)
        embedded_by(old)
        page = text(reader.get(LIST))
        assert page.count("<progress") == 2
        assert '<progress value="4" max="4" aria-label="embedded"></progress><br>4 of 4' in page
        assert '<progress value="0" max="4" aria-label="embedded"></progress><br>0 of 4' in page
        assert "0.412 (0.400 to 0.430)" in page
        assert f'href="{report(old)}"' in page

    def test_counts_embeddings_once_however_many_models_there_are(self, reader):
        def queries() -> list[str]:
            with CaptureQueriesContext(connection) as captured:
                assert reader.get(LIST).status_code == 200
            return [query["sql"] for query in captured]

        make_model()
        bulk_photos(2)
        few = queries()
        for state in ("backfilling", "standby", "candidate", "retired"):
            make_model(state)
        many = queries()
        assert len(many) == len(few)
        counts = [sql for sql in many if "recommender_embedding" in sql.replace("recommender_embeddingmodel", "")]
        assert len(counts) == 1
        assert "GROUP BY" in counts[0]
        assert not any("listings_listingimage" in sql for sql in many)

    def test_photos_that_were_rejected_hold_no_bar_back(self, reader):
        old, new = make_model(), make_model("backfilling")
        bulk_photos(4)
        embedded_by(old)
        embedded_by(new)
        one = Embedding.objects.filter(model=old).first()
        Embedding.objects.filter(image=one.image_id).update(state="rejected", vector=None)
        assert text(reader.get(LIST)).count("3 of 3") == 2


class TestPage:
    def test_counts_photos_and_leads_to_those_that_failed(self, reader):
        make_model(version="old")
        new = make_model("backfilling", version="new")
        bulk_photos(4)
        Embedding.objects.filter(pk=Embedding.objects.filter(model=new).first().pk).update(state="done", vector=b"\0\0")
        page = text(reader.get(change(new)))
        assert "1 of 4 embedded, 3 waiting, 0 given up, 0 rejected; no index yet" in page
        assert "3 of 4 photos are not embedded by new yet" in page
        assert f"?model__id__exact={new.pk}&amp;state__exact=failed" in page

    def test_of_the_active_model_complains_of_nothing(self, reader):
        model = make_model(version="old")
        page = text(reader.get(change(model)))
        assert "0 of 0 embedded" in page
        assert "active already" not in page


class TestReport:
    @pytest.fixture
    def evaluated(self, settings, tmp_path):
        settings.MODELS_ROOT = tmp_path
        model = make_model(version="old", metrics={"evaluations": [EVALUATION]})
        reports_folder(model).mkdir()
        (reports_folder(model) / EVALUATION["report"]).write_text("<h1>Report</h1>")
        return model

    def test_is_shown_to_staff_and_may_run_nothing(self, evaluated, reader):
        response = reader.get(report(evaluated))
        assert b"".join(response.streaming_content) == b"<h1>Report</h1>"
        policy = response["Content-Security-Policy"]
        assert policy.startswith("sandbox; default-src 'none'")
        assert "script" not in policy
        assert response["X-Content-Type-Options"] == "nosniff"
        assert "no-store" in response["Cache-Control"]

    @pytest.mark.parametrize(("who", "status"), [("visitor", 302), ("seller", 302), ("staff", 403)])
    def test_is_shown_to_nobody_else(self, evaluated, who, status):
        client = {"visitor": Client(), "seller": person(staff=False), "staff": person()}[who]
        assert client.get(report(evaluated)).status_code == status

    @pytest.mark.parametrize(
        "name", ["../old/recipe.json", "..%2fsecret.html", "20260102-030405-..html", "secret.html", "20260102-030405-x"]
    )
    def test_no_other_file_is_served(self, evaluated, reader, name):
        (reports_folder(evaluated).parent / "secret.html").write_text("not for you")
        (reports_folder(evaluated) / "secret.html").write_text("not for you")
        response = reader.get(report(evaluated, name), follow=True)
        assert not response.streaming
        assert "not for you" not in text(response)

    def test_that_is_gone_is_not_found(self, evaluated, reader):
        (reports_folder(evaluated) / EVALUATION["report"]).unlink()
        assert reader.get(report(evaluated)).status_code == 404

    def test_is_linked_from_the_models_page_with_its_figures(self, evaluated, reader):
        page = text(reader.get(change(evaluated)))
        assert f'href="{report(evaluated)}"' in page
        assert page.count("0.412 (0.400 to 0.430)") == 8
        assert "clothing/unseen" in page
        assert "manage.py models evaluate old CSV" in page
