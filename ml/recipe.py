"""What a model directory holds and how its pictures were prepared; written last, so its presence means "complete"."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .errors import MlError

RECIPE = "recipe.json"
WEIGHTS = "weights.safetensors"
GRAPH = ("embedder.xml", "embedder.bin")
INT8_GRAPH = ("embedder-int8.xml", "embedder-int8.bin")
FORMAT = 1
PRECISIONS = ("auto", "int8", "bf16", "f32")  # auto, where photos were too few to choose by: bf16 if computed, else f32
SOURCES = ("starter", "imagenet", "untrained")  # whatever else is asked for as weights is a file
ENCODERS = ("efficientnet-lite0", "efficientnet-lite2")  # of requirements-encoders.txt; whatever else is one is a file
ENCODER = "encoder"  # the architecture of a model that is somebody else's graph

IMAGENET_MEAN = (123.675, 116.28, 103.53)  # 255 times what torchvision states, because pixels here are bytes
IMAGENET_STD = (58.395, 57.12, 57.375)


class ModelFilesError(MlError):
    """A model directory is missing, incomplete, damaged or made by another recipe."""


@dataclass(frozen=True)
class Recipe:
    """How pixels become vectors: architecture, dimension, preprocessing, precision, and the sha256 of every file.

    `int8` says that there is a second graph beside the one in float32, for processors that can compute it.
    `agreement` is with float32, of each precision that was tried. A model made of an encoder has no weights file:
    `weights` names the encoder, `output` the tensor its features are made of, in graph files. `licence` and
    `source` are what whoever made it said of it.
    """

    version: str
    arch: str
    dim: int
    weights: str
    sha256: str
    files: dict[str, str]
    size: int = 224
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    resize: str = "shorter-side"
    crop: str = "center"
    filter: str = "bilinear"
    precision: str = "auto"
    agreement: dict[str, dict[str, float]] = field(default_factory=dict)
    output: str = ""
    licence: str = ""
    source: str = ""
    format: int = FORMAT

    @property
    def has_weights(self) -> bool:
        """Whether torch can compute it: an encoder's graph is computed by OpenVINO alone."""
        return WEIGHTS in self.files

    def as_dict(self) -> dict[str, Any]:
        """The recipe as `recipe.json` holds it."""
        return json.loads(json.dumps(asdict(self)))

    def as_json(self) -> str:
        """The text of `recipe.json`."""
        return json.dumps(self.as_dict(), indent=2) + "\n"

    def write(self, directory: Path) -> None:
        """Write `recipe.json`; call it after every other file of `directory` is there."""
        (directory / RECIPE).write_text(self.as_json())

    @classmethod
    def read(cls, directory: Path) -> Recipe:
        """Read `recipe.json`.

        Raises:
            ModelFilesError: it is missing, unreadable, or asks for a preparation this code does not do.
        """
        path = directory / RECIPE
        try:
            fields = json.loads(path.read_text())
            recipe = cls(**fields)
        except FileNotFoundError as exc:
            raise ModelFilesError(f"{path} is missing: {directory} holds no model.") from exc
        except (OSError, ValueError, TypeError) as exc:
            raise ModelFilesError(f"{path} is not a model recipe: {exc}.") from exc
        recipe._refuse_unknown_values(path)
        return recipe

    def _refuse_unknown_values(self, path: Path) -> None:
        for name in ("format", "resize", "crop", "filter"):
            known, found = getattr(type(self), name), getattr(self, name)
            if found != known:
                raise ModelFilesError(f"{path} says {name} = {found!r}; this version of the code knows only {known!r}.")
        if self.precision not in PRECISIONS:
            raise ModelFilesError(
                f"{path} says precision = {self.precision!r}; this version of the code knows {', '.join(PRECISIONS)}."
            )
        for name in ("dim", "size"):
            number = getattr(self, name)
            if not isinstance(number, int) or number < 1:
                raise ModelFilesError(f"{path} says {name} = {number!r}; it must be a whole number above 0.")
        if not isinstance(self.files, dict):
            raise ModelFilesError(f"{path} lists no checksums under 'files'.")

    def verify_files(self, directory: Path, names: tuple[str, ...]) -> None:
        """Compare files with the checksums of the recipe.

        Raises:
            ModelFilesError: a file is missing or its sha256 differs.
        """
        for name in names:
            path = directory / name
            try:
                found = file_sha256(path)
            except OSError as exc:
                raise ModelFilesError(f"{path} cannot be read: {exc.strerror}.") from exc
            if found != self.files.get(name):
                raise ModelFilesError(
                    f"{path} is damaged: its sha256 is not the one in {RECIPE}. Export the model again."
                )


def file_sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
