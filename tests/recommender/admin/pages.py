"""The pages of embedding models in the admin: their addresses, and who asks for them."""

from __future__ import annotations

from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from recommender.models import EmbeddingModel
from tests.factories import make_user
from tests.recommender.registered import EVALUATION

LIST = "/admin/recommender/embeddingmodel/"


def person(*permissions: str, staff: bool = True) -> Client:
    user = make_user()
    user.is_staff = staff
    user.save()
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def change(model: EmbeddingModel) -> str:
    return reverse("admin:recommender_embeddingmodel_change", args=[model.pk])


def step(model: EmbeddingModel, name: str) -> str:
    return reverse("admin:recommender_embeddingmodel_step", args=[model.pk, name])


def report(model: EmbeddingModel, name: str = EVALUATION["report"]) -> str:
    return f"{LIST}{model.pk}/reports/{name}"


def text(response) -> str:
    return response.content.decode()
