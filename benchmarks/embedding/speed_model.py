"""The network that every figure of speed is of: ResNet-50, 224 px, 1000 dimensions, untrained."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from ml.inference.cores import has_int8_units


def resnet50(directory: Path, photos: Sequence[Path]) -> Path:
    """A model directory, in 8 bits where the processor has units for them: the gate is not asked."""
    from ml.exporting.export import build
    from ml.exporting.graph import converted
    from ml.exporting.precision import sample, with_int8
    from ml.network.weights import read_weights

    recipe = build(directory, "untrained", weights="untrained")
    if has_int8_units():
        network = read_weights(directory / "weights.safetensors").network
        in_int8 = with_int8(directory, converted(network, recipe.size), recipe, sample(photos, recipe.size))
        dataclasses.replace(in_int8, precision="int8").write(directory)
    return directory
