from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from recommender import registry
from recommender.models import EmbeddingModel
from recommender.registry import RegistryError


class Command(BaseCommand):
    help = "List, register, backfill and activate embedding models."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="every model and its state")
        register = actions.add_parser("register", help="export weights and add them as a candidate")
        register.add_argument("--weights", required=True, choices=("untrained", "imagenet"))
        register.add_argument("--version", dest="name", help="the model's name in every answer (default: its weights)")
        register.add_argument("--activate", action="store_true", help="answer with it at once")
        for action, text in (("backfill", "embed every photo with it"), ("activate", "answer with it from now on")):
            actions.add_parser(action, help=text).add_argument("name", metavar="VERSION")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            getattr(self, f"_{action}")(**options)
        except RegistryError as exc:
            raise CommandError(str(exc)) from exc

    def _list(self, **options: Any) -> None:
        for model in EmbeddingModel.objects.order_by("pk"):
            self.stdout.write(f"{model.version:<24} {model.state:<12} {model.arch} {model.dim}-d  {model.sha256[:12]}")

    def _register(self, *, weights: str, name: str | None, activate: bool, **options: Any) -> None:
        model = registry.register(name or weights, weights)
        self.stdout.write(f"{model.version} is registered: {model.arch}, {model.dim} dimensions.")
        if activate:
            self._activate(name=model.version)

    def _backfill(self, *, name: str, **options: Any) -> None:
        registry.backfill(find(name))
        self.stdout.write(f"{name} is being backfilled; activate it when every photo is embedded.")

    def _activate(self, *, name: str, **options: Any) -> None:
        registry.activate(find(name))
        self.stdout.write(f"{name} is active.")


def find(version: str) -> EmbeddingModel:
    try:
        return EmbeddingModel.objects.get(version=version)
    except EmbeddingModel.DoesNotExist as exc:
        known = ", ".join(EmbeddingModel.objects.values_list("version", flat=True)) or "none"
        raise CommandError(f"There is no model {version}; there are: {known}.") from exc
