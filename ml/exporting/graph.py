"""A torch network as an OpenVINO graph, and the graph with all that surrounds the network inside. Needs torch."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import nn
from torch.jit._trace import TracerWarning

from ml.inference.openvino_runtime import import_openvino
from ml.network.resnet import UnitLength
from ml.recipe import Recipe


def convert_network(network: nn.Module, size: int) -> Any:
    """float32[N, 3, size, size] -> float32[N, dim] of length 1, as an OpenVINO model."""
    example = torch.zeros(2, 3, size, size)
    ov = import_openvino()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TracerWarning)  # it says that `size` becomes a constant, as it should
        return ov.convert_model(UnitLength(network).eval(), example_input=example, input=[-1, 3, size, size])


def add_preprocessing(graph: Any, recipe: Recipe) -> Any:
    """`graph`, changed in place: uint8[N, S, S, 3] -> float32[N, dim]."""
    ov = import_openvino()
    steps = ov.preprocess.PrePostProcessor(graph)
    steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    steps.input().model().set_layout(ov.Layout("NCHW"))
    steps.input().preprocess().convert_element_type(ov.Type.f32).mean(list(recipe.mean)).scale(list(recipe.std))
    return steps.build()
