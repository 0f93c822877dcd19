from __future__ import annotations

import secrets
from pathlib import Path

from django.contrib.auth import get_user_model

from marketplace.supervisor.home import write_private_file

NAME = "admin"


def ensure_superuser(given: str, password_file: Path) -> str | None:
    """Create the first superuser; a sentence for the person who starts the site, or None if there was nothing to do."""
    users = get_user_model().objects
    if users.filter(is_superuser=True).exists():
        return None
    password = given or ensure_password(password_file)
    users.create_superuser(username=NAME, password=password)
    if given:
        return f"created superuser {NAME} with the password from ADMIN_PASSWORD."
    return f"created superuser {NAME}, password {password} (kept in {password_file})."


def ensure_password(path: Path) -> str:
    """The generated password, written for its owner's eyes only."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private_file(path, secrets.token_urlsafe(12))
    return path.read_text().strip()
