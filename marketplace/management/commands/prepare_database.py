from typing import Any

from django.core.management.base import BaseCommand

from marketplace.preparation.database import prepare_database


class Command(BaseCommand):
    help = "Brings the schema up to date and sets SQLite's write-ahead log. Safe to repeat, and to run twice at once."
    requires_system_checks = []
    requires_migrations_checks = False

    def handle(self, *args: object, **options: Any) -> None:
        prepare_database(options["verbosity"])
