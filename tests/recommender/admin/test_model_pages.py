"""The registry in the admin: what its list, the page of a model and a report show."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from recommender.models import Embedding
from recommender.registry.evaluation import reports_folder
from tests.recommender.admin.pages import LIST, change, person, report, text
from tests.recommender.queue_rows import bulk_photos, make_model
from tests.recommender.registered import EVALUATION, embedded_by

pytestmark = pytest.mark.django_db(transaction=True)


class TestModelList:
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

    def test_says_what_its_probabilities_were_fitted_on(self, reader):
        model = make_model(version="shoes")
        page = text(reader.get(change(model)))
        assert "fitted on photos of the site and their categories: 1,000 pairs, off by 0.020 on others" in page

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
