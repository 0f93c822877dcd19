import os

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from marketplace.observing.disks import list_disks
from marketplace.preparation.database import hold_preparation_lock, update_schema
from marketplace.preparation.demo import ensure_demo_marker
from marketplace.preparation.model import ensure_active_model
from marketplace.preparation.static import collect_static_files_if_changed
from marketplace.preparation.superuser import ensure_superuser


class Command(BaseCommand):
    help = (
        "Makes a site ready to start: schema, superuser, model, static files. Safe to repeat, and to run twice at once."
    )
    requires_system_checks = []

    def handle(self, *args: object, **options: object) -> None:
        try:
            settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
            # Two that start at once, on one data directory or one database, would both find that nothing is there.
            with hold_preparation_lock():
                self.prepare_site()
        # SQLite says of a full disk that it is an operational error.
        except (OSError, OperationalError) as exc:
            problems = [problem for disk in list_disks() if (problem := disk.describe_problem())]
            if not problems:
                raise
            raise CommandError(f"The site was not made ready: {'; '.join(problems)}.") from exc

    def prepare_site(self) -> None:
        update_schema()
        self.print_sentence(ensure_superuser(os.environ.get("ADMIN_PASSWORD", ""), settings.VAR_DIR / "admin-password"))
        collect_static_files_if_changed(settings.STATIC_ROOT)
        self.print_sentence(ensure_active_model(settings.EMBEDDER_WEIGHTS))
        ensure_demo_marker(settings.VAR_DIR / "demo")

    def print_sentence(self, sentence: str | None) -> None:
        if sentence:
            self.stdout.write(sentence)
