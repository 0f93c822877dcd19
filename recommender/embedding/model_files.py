"""The process that makes a model's files.

Exporting needs torch, which web processes never load, so it runs as a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from django.conf import settings

from recommender.errors import RegistryError
from recommender.models import UNTRAINED

EXPORT_SECONDS = 900


def require_allowed_weights(weights: str) -> None:
    """Refuse to register random weights unless the setting asks for them.

    Only registering is refused. A model that is registered was asked for once, and works until it is retired.
    """
    if weights == UNTRAINED and settings.EMBEDDER_WEIGHTS != UNTRAINED:
        raise RegistryError(
            "Untrained weights give answers without meaning; set EMBEDDER_WEIGHTS=untrained to use them nevertheless."
        )


def export_model(
    directory: Path, version: str, weights: str, size: int | None = None, photos: Path | None = None
) -> None:
    """Write a model directory, its precision chosen on `photos`. Raises: RegistryError with the exporter's sentence."""
    command = [sys.executable, "-m", "ml", "export", "--weights", weights, "--version", version]
    options = {"--out": directory, "--size": size, "--photos": photos and photos.absolute()}
    command += [str(part) for option, value in options.items() if value is not None for part in (option, value)]
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and our own module
            command, cwd=settings.BASE_DIR, capture_output=True, text=True, timeout=EXPORT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise RegistryError(f"Exporting {version} took longer than {EXPORT_SECONDS} s.") from exc
    # Two workers may export the same missing model at once. The slower one fails, but the model is there all the same.
    if done.returncode and not directory.exists():
        raise RegistryError(f"Model {version} cannot be exported. {done.stderr.strip()[-500:]}")
