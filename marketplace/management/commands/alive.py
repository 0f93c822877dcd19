import socket
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models.functions import Now

from recommender.models import Heartbeat

LONGEST = 86_400


class Command(BaseCommand):
    help = "Succeeds if a worker of this kind beat on this host lately: the health check of a worker's container."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", choices=["embedding", "indexing", "default"])
        parser.add_argument("--seconds", type=int, default=30, help="how old the last heartbeat may be")

    def handle(self, *args: object, **options: Any) -> None:
        if not 0 < options["seconds"] <= LONGEST:
            raise CommandError(f"--seconds is {options['seconds']}; give a number from 1 to {LONGEST}.")
        # Compared by the database's clock, which the heartbeat was written by too, because the clocks of hosts differ.
        span = timedelta(seconds=options["seconds"])
        here = Heartbeat.objects.filter(kind=options["kind"], detail__host=socket.gethostname())
        if not here.filter(seen_at__gt=Now() - span, seen_at__lt=Now() + span).exists():
            raise CommandError(f"No {options['kind']} worker of this host beat in the last {options['seconds']} s.")
