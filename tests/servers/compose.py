"""docker-compose.yml as `docker compose` would read it beside a filled-in .env; no engine needed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<text>[^}]*))?\}")
SECRETS = {"SECRET_KEY": "secret", "POSTGRES_PASSWORD": "postgres", "ADMIN_PASSWORD": "only-for-tests"}


def example() -> dict[str, str]:
    """The variables of .env.example, as they stand there."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def text() -> str:
    return (ROOT / "docker-compose.yml").read_text()


def variables() -> set[str]:
    return {match["name"] for match in VARIABLE.finditer(text())}


def load(values: Mapping[str, str]) -> dict[str, Any]:
    """The parsed file, with `${NAME:-default}` and `${NAME:?message}` filled from `values`."""

    def fill(match: re.Match[str]) -> str:
        value = values.get(match["name"], "")
        if value or match["kind"] is None:
            return value
        if match["kind"] == "?":
            raise KeyError(f"{match['name']}: {match['text']}")
        return match["text"]

    def fill_texts(node: Any) -> Any:
        # As an engine does it, after parsing: what is empty stays a text, and a comment is none.
        if isinstance(node, dict):
            return {name: fill_texts(value) for name, value in node.items()}
        if isinstance(node, list):
            return [fill_texts(value) for value in node]
        return VARIABLE.sub(fill, node) if isinstance(node, str) else node

    return dict(fill_texts(yaml.safe_load(text())))


def services() -> dict[str, dict[str, Any]]:
    return load({**example(), **SECRETS})["services"]


def application_services() -> dict[str, dict[str, Any]]:
    """The services that run this project's image."""
    return {name: service for name, service in services().items() if "build" in service}


def seconds(duration: str) -> int:
    return int(duration.removesuffix("s"))
