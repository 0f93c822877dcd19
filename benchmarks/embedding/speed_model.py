"""Builds the model that every speed of embedding is measured with: ResNet-50, 224 px, 1000 dimensions, untrained."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from ml.inference.cores import has_int8_units


def build_resnet50(directory: Path, photos: Sequence[Path]) -> Path:
    """Build a model directory, in 8 bits where the processor has units for them.

    Whether 8 bits agree with float32 is not checked: the vectors of untrained weights are too alike to pass that.
    """
    from ml.exporting.agreement import CALIBRATION
    from ml.exporting.export import build_model
    from ml.exporting.graph import convert_network
    from ml.exporting.precision import add_int8_graph, read_picture_sample
    from ml.exporting.quantisation import quantise_graph
    from ml.network.weights import read_weights

    recipe = build_model(directory, "untrained", weights="untrained")
    if has_int8_units():
        network = read_weights(directory / "weights.safetensors").network
        pictures = read_picture_sample(photos, recipe.size)[:CALIBRATION]
        graph = quantise_graph(convert_network(network, recipe.size), pictures, recipe)
        in_int8 = add_int8_graph(directory, recipe, graph)
        dataclasses.replace(in_int8, precision="int8").write(directory)
    return directory
