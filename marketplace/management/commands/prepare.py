import os

from django.conf import settings
from django.core.management.base import BaseCommand

from marketplace.preparation.database import prepare_database
from marketplace.preparation.demo import decide_demo
from marketplace.preparation.model import ensure_model
from marketplace.preparation.static import collect_static
from marketplace.preparation.superuser import ensure_superuser


class Command(BaseCommand):
    help = "Makes a site ready to start: schema, superuser, model, static files. Safe to repeat."
    requires_system_checks = []

    def handle(self, *args: object, **options: object) -> None:
        settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
        prepare_database()
        self.say(ensure_superuser(os.environ.get("ADMIN_PASSWORD", ""), settings.VAR_DIR / "admin-password"))
        collect_static(settings.STATIC_ROOT)
        self.say(ensure_model(settings.EMBEDDER_WEIGHTS))
        decide_demo(settings.VAR_DIR / "demo")

    def say(self, sentence: str | None) -> None:
        if sentence:
            self.stdout.write(sentence)
