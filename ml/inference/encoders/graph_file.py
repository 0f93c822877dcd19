"""Reads an encoder from a graph file, and makes it take pictures as files hold them: uint8[N, S, S, 3]."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ml.errors import MlError, find_cause_line
from ml.inference.openvino_runtime import Graph, end_graph_at, import_openvino
from ml.recipe import IMAGENET_MEAN, IMAGENET_STD

from .features import find_features

SIDE = 224  # where the graph takes pictures of any side
SIDES = (8, 1024)


class UnknownGraphError(MlError):
    """A file holds no graph, none that takes square colour pictures, or none of the side or type asked for."""


@dataclass(frozen=True)
class Reading:
    """What people say of a graph that its file does not: empty or None where the file, or ImageNet's custom, decides.

    Attributes:
        size: side of the pictures in pixels.
        mean, std: of the three channels, in units of bytes (0 to 255).
        output: name of the tensor that holds the features.
    """

    size: int | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    output: str = ""


AS_FILED = Reading()


@dataclass(frozen=True)
class EncoderGraph:
    """An OpenVINO graph, uint8[N, size, size, 3] -> float32[N, dim], with what it does to pictures first.

    `mean` and `std` are in units of bytes: 0 and 1 of a graph that takes bytes as they are, or that scales them itself.
    `output` names the tensor that its features are made of.
    """

    graph: Graph
    size: int
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    output: str = ""


def read_graph(path: Path, reading: Reading = AS_FILED) -> EncoderGraph:
    """Read a .tflite, .onnx or .xml file.

    Layout, type and side are the file's own. Bytes go in as they are, floats normalised by ImageNet's mean and
    deviation unless `reading` says otherwise; which features are taken is said at `find_features`.

    Raises:
        UnknownGraphError, NoSuchOutputError: the message names the file and what it takes or has instead.
    """
    openvino, graph = import_openvino(), read_any_graph(path)
    if len(graph.inputs) != 1:
        raise UnknownGraphError(
            f"{path} takes {len(graph.inputs)} inputs, not pictures alone; export the part that sees pictures."
        )
    shape = graph.input(0).partial_shape
    axis = _find_channel_axis(shape)
    if axis is None:
        raise UnknownGraphError(f"{path} takes {shape}, not colour pictures [N, S, S, 3] or [N, 3, S, S].")
    size = _choose_own_or_asked_size(shape, path, axis, reading.size)
    picture = [size, size, 3] if axis == 3 else [3, size, size]
    with suppress(RuntimeError):  # what does not fit is told below, of the part that is taken
        graph.reshape([-1, *picture])
    features = find_features(graph, reading.output, str(path), axis)
    graph = end_graph_at(graph, features.output, path.stem)
    _refuse_wrong_shapes(graph, path, shape, picture)
    return _take_bytes(openvino, graph, path, axis, replace(reading, size=size, output=features.name))


def read_any_graph(path: Path) -> Graph:
    """Read a file as OpenVINO does, whatever it computes. Raises UnknownGraphError where it cannot."""
    try:
        return import_openvino().Core().read_model(path)
    except RuntimeError as exc:
        raise UnknownGraphError(f"{path} is no graph that OpenVINO reads: {find_cause_line(exc)}") from exc


def choose_size(asked: int | None, own: int, title: str) -> int:
    """The side that was asked for, else the network's own. Raises UnknownGraphError for one that no picture has."""
    size = own if asked is None else asked
    if not SIDES[0] <= size <= SIDES[1]:
        raise UnknownGraphError(
            f"{title} was asked to take pictures of {size} px; it must be from {SIDES[0]} to {SIDES[1]}."
        )
    return size


def _find_channel_axis(shape: Graph) -> int | None:
    """Return 3 or 1, whichever axis has three channels, or may have where none is said to; None where neither can."""
    if shape.rank.is_dynamic or shape.rank.get_length() != 4:
        return None
    stated = [axis for axis in (3, 1) if shape[axis].is_static and shape[axis].get_length() == 3]
    # Exporters that leave every axis free are torch's, which has channels first.
    free = [axis for axis in (1, 3) if shape[axis].is_dynamic]
    return next(iter(stated or free), None)


def _choose_own_or_asked_size(shape: Graph, path: Path, axis: int, asked: int | None) -> int:
    own = {shape[each].get_length() for each in (1, 2, 3) if each != axis and shape[each].is_static}
    if len(own) > 1:
        raise UnknownGraphError(f"{path} takes {shape}, and pictures here are square.")
    return choose_size(asked, next(iter(own), SIDE), str(path))


def _refuse_wrong_shapes(graph: Graph, path: Path, shape: Graph, picture: list[int]) -> None:
    """Make `graph` take any number of such pictures, or say why it cannot."""
    size = picture[1]
    if not (trouble := _find_trouble_with_shapes(graph, picture)):
        return
    own = [shape[each].get_length() for each in (2, 3) if shape[each].is_static and shape[each].get_length() != 3]
    if own and size not in own:
        raise UnknownGraphError(f"{path} takes pictures of {own[0]} px alone, not of {size}.")
    raise UnknownGraphError(
        f"{path} gives no vector for each of several pictures of {size} px: {trouble}. If it was exported for one "
        "picture, or for another side, export it with a free number of pictures, or name its side with --size."
    )


def _find_trouble_with_shapes(graph: Graph, picture: list[int]) -> str:
    """Make `graph` take any number of pictures of this shape; a sentence where it cannot, as two of them show."""
    try:
        graph.reshape([2, *picture])
        found = graph.output(0).partial_shape
        graph.reshape([-1, *picture])
    except RuntimeError as exc:
        return find_cause_line(exc)
    if found.is_dynamic or len(found) != 2 or found[0] != 2:
        return f"of two it gives {found}"
    return "" if graph.output(0).partial_shape[1].is_static else f"it gives {graph.output(0).partial_shape}"


def _take_bytes(openvino: Graph, graph: Graph, path: Path, axis: int, reading: Reading) -> EncoderGraph:
    size = reading.size or SIDE
    takes_bytes = graph.input(0).get_element_type() == openvino.Type.u8
    if takes_bytes and (reading.mean or reading.std):
        raise UnknownGraphError(
            f"{path} takes bytes as they are, so nothing can be normalised: leave --mean and --std."
        )
    steps = openvino.preprocess.PrePostProcessor(graph)
    given = steps.input()
    given.tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    given.model().set_layout(openvino.Layout("NHWC" if axis == 3 else "NCHW"))
    steps.output().tensor().set_element_type(openvino.Type.f32)
    if takes_bytes:
        return EncoderGraph(steps.build(), size, output=reading.output)
    mean, std = reading.mean or IMAGENET_MEAN, reading.std or IMAGENET_STD
    given.preprocess().convert_element_type(openvino.Type.f32).mean(list(mean)).scale(list(std))
    return EncoderGraph(steps.build(), size, mean, std, reading.output)
