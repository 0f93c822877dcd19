"""Reads an encoder from a graph file, and makes it take pictures as files hold them: uint8[N, S, S, 3]."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ml.errors import MlError, find_cause_line
from ml.inference.openvino_runtime import import_openvino
from ml.recipe import IMAGENET_MEAN, IMAGENET_STD

SIDE = 224  # where the graph takes pictures of any side
POOLING = ("AvgPool", "ReduceMean")


class UnknownGraphError(MlError):
    """A file holds no graph, or none that takes square colour pictures."""


def read_graph(path: Path) -> Any:
    """Return an OpenVINO graph, uint8[N, S, S, 3] -> features[N, dim].

    Pictures go in as the graph wants them: bytes as they are; floats with channels last scaled to -1 to 1, as
    TensorFlow's networks are trained, and with channels first by ImageNet's mean and deviation, as torch's are.
    The features are what the last average pooling gives; where there is none, the first output.

    Raises:
        UnknownGraphError: the message names the file and what it takes instead.
    """
    openvino = import_openvino()
    try:
        graph = openvino.Core().read_model(path)
    except RuntimeError as exc:
        raise UnknownGraphError(f"{path} is no graph that OpenVINO reads: {find_cause_line(exc)}") from exc
    shape = graph.input(0).partial_shape
    axis = _find_channel_axis(shape)
    if axis is None or len(graph.inputs) != 1:
        raise UnknownGraphError(f"{path} takes {shape}, not colour pictures [N, S, S, 3] or [N, 3, S, S].")
    side = shape[2].get_length() if shape[2].is_static else SIDE
    pools = [each for each in graph.get_ordered_ops() if each.get_type_name() in POOLING]
    features = pools[-1].output(0) if pools else graph.output(0)
    graph = openvino.Model([features], graph.get_parameters(), path.stem)
    graph.reshape([-1, side, side, 3] if axis == 3 else [-1, 3, side, side])
    return _take_bytes(openvino, graph, axis)


def _find_channel_axis(shape: Any) -> int | None:
    """Return 3 or 1, whichever axis has three channels; None where neither has."""
    if shape.rank.is_dynamic or shape.rank.get_length() != 4:
        return None
    return next((axis for axis in (3, 1) if shape[axis].is_static and shape[axis].get_length() == 3), None)


def _take_bytes(openvino: Any, graph: Any, axis: int) -> Any:
    wanted = graph.input(0).get_element_type()
    steps = openvino.preprocess.PrePostProcessor(graph)
    given = steps.input()
    given.tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    given.model().set_layout(openvino.Layout("NHWC" if axis == 3 else "NCHW"))
    if wanted != openvino.Type.u8:
        mean, scale = ([127.5] * 3,) * 2 if axis == 3 else (list(IMAGENET_MEAN), list(IMAGENET_STD))
        given.preprocess().convert_element_type(openvino.Type.f32).mean(mean).scale(scale)
    return steps.build()
