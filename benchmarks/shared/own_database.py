"""Runs a module on a database of its own, so that what it measures meets no other data.

The module runs as a child process with an empty VAR_DIR, and prints its figures as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any

from benchmarks.index.embeddings import ROOT

if TYPE_CHECKING:
    from recommender.models import EmbeddingModel


def run_on_own_database(module: str, *arguments: object) -> dict[str, Any]:
    """Run `python -m module arguments`, and return the figures of the last line that it prints."""
    with tempfile.TemporaryDirectory(prefix="mp-bench-") as var:
        kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "INDEX_ROOT")}
        environ = kept | {"VAR_DIR": var, "SECRET_KEY": "unused", "LOG_LEVEL": "WARNING"}
        command = [sys.executable, "-m", module, *map(str, arguments)]
        done = subprocess.run(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def prepare_schema_and_model(dim: int) -> EmbeddingModel:
    """Make the schema, and an active model of so many dimensions. Only for such a child, whose database is empty."""
    from marketplace.preparation.database import prepare_database
    from recommender.models import EmbeddingModel

    prepare_database()
    return EmbeddingModel.objects.create(
        version="bench", arch="none", dim=dim, checkpoint="none", sha256="0" * 64, state=EmbeddingModel.State.ACTIVE
    )
