"""The process that makes a model's files.

Exporting needs torch, which web processes never load, so it runs as a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from django.conf import settings

from ml.commands.model_options import format_model_arguments
from recommender.errors import RegistryError
from recommender.models import UNTRAINED

EXPORT_SECONDS = 900


@dataclass(frozen=True)
class ModelSource:
    """What a model is made of: weights of ours, or an encoder, which is somebody else's network.

    Attributes:
        weights: a word of `SOURCES` or the path of a weights file; empty for an encoder.
        encoder: a word of `ENCODERS` or the path of a graph file; empty for weights.
        size: side of the pictures in pixels, where it shall differ from the source's own.
        mean, std, output: of an encoder, as `ml.inference.encoders.graph_file.Reading` has them.
        licence, source: what is shown beside the model.
    """

    weights: str = ""
    encoder: str = ""
    size: int | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    output: str = ""
    licence: str = ""
    source: str = ""

    @property
    def location(self) -> str:
        """The word or path that it is had by."""
        return self.encoder or self.weights

    @property
    def name(self) -> str:
        """What its recipe calls it: the word, or the file's name."""
        return Path(self.location).name

    @property
    def is_word(self) -> bool:
        """Whether it names the same thing each time; a file of the same name may hold something else by then."""
        return self.location == self.name


def require_allowed_weights(weights: str) -> None:
    """Refuse to register random weights unless the setting asks for them.

    Only registering is refused. A model that is registered was asked for once, and works until it is retired.
    """
    if weights == UNTRAINED and settings.EMBEDDER_WEIGHTS != UNTRAINED:
        raise RegistryError(
            "Untrained weights give answers without meaning; set EMBEDDER_WEIGHTS=untrained to use them nevertheless."
        )


def export_model(directory: Path, version: str, source: ModelSource, photos: Path | None = None) -> None:
    """Write a model directory, its precision chosen on `photos`. Raises: RegistryError with the exporter's sentence."""
    command = [sys.executable, "-m", "ml", "export", "--version", version, "--out", str(directory)]
    command += format_model_arguments(asdict(source))
    if photos is not None:
        command += ["--photos", str(photos.absolute())]
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and our own module
            command, cwd=settings.BASE_DIR, capture_output=True, text=True, timeout=EXPORT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise RegistryError(f"Exporting {version} took longer than {EXPORT_SECONDS} s.") from exc
    # Two workers may export the same missing model at once. The slower one fails, but the model is there all the same.
    if done.returncode and not directory.exists():
        raise RegistryError(f"Model {version} cannot be exported. {done.stderr.strip()[-500:]}")
