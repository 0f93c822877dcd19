from django.apps import AppConfig


class ListingsConfig(AppConfig):
    name = "listings"

    def ready(self) -> None:
        from .api import tokens
        from .photos import file_deletion

        file_deletion.connect_signals()
        tokens.connect_signals()
