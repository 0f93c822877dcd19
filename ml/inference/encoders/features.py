"""Which tensor of a graph holds a picture's features, and how it becomes one vector a picture."""

from __future__ import annotations

from typing import Any

from ml.errors import MlError
from ml.inference.openvino_runtime import import_openvino

POOLING = ("AvgPool", "ReduceMean")


class NoSuchOutputError(MlError):
    """A graph has no tensor of the name that was asked for, or several that could be meant."""


def find_features(graph: Any, name: str, title: str, axis: int) -> Any:
    """Return the output of an operation of `graph`: features[N, dim].

    `name` is that of an output or of any tensor or operation; of maps the average is taken, of a sequence its first
    place, which transformers keep for the whole picture. Without a name it is the last average over all of a
    picture's maps, else the only output. `title` names the graph in errors; `axis` of maps holds the channels.

    Raises:
        NoSuchOutputError: the message lists the outputs that there are.
    """
    if name:
        found = _find_by_name(graph, name)
        if found is None:
            raise NoSuchOutputError(f"{title} has no output {name!r}; it has {_list_outputs(graph)}.")
    else:
        pools = [each.output(0) for each in graph.get_ordered_ops() if _averages_maps(each)]
        if not pools and len(graph.outputs) > 1:
            raise NoSuchOutputError(f"{title} has several outputs; name one with --output: {_list_outputs(graph)}.")
        found = pools[-1] if pools else graph.output(0).get_node().input_value(0)
    return _pool_to_one_vector(found, title, axis)


def _find_by_name(graph: Any, name: str) -> Any | None:
    for operation in graph.get_ordered_ops():
        is_end = operation.get_type_name() == "Result"
        for output in operation.outputs():
            if name in output.get_names() or name == operation.get_friendly_name():
                # A result computes nothing: what goes into it is what is meant.
                return operation.input_value(0) if is_end else output
    return None


def _averages_maps(operation: Any) -> bool:
    """Whether it averages maps over all places: networks also average over channels, to normalise them."""
    if operation.get_type_name() not in POOLING:
        return False
    before, after = operation.input(0).get_partial_shape(), operation.output(0).get_partial_shape()
    if before.rank.is_dynamic or before.rank.get_length() != 4:
        return False
    left = [axis for axis in range(1, after.rank.get_length()) if after[axis] != 1]
    # Whatever the file's layout, OpenVINO may compute with channels first.
    return len(left) == 1 and after[left[0]].is_static and after[left[0]] in (before[1], before[3])


def _pool_to_one_vector(features: Any, title: str, axis: int) -> Any:
    """Return [N, dim] of what may be [N, dim], a sequence [N, places, dim] or maps of four axes."""
    import_openvino()
    from openvino import opset13 as ops

    shape = features.get_partial_shape()
    places = shape.rank.get_length() if shape.rank.is_static else 0
    if places == 4:
        wide = [each for each in (1, 2, 3) if shape[each] != 1]
        kept = wide[0] if len(wide) == 1 else axis
        return ops.reduce_mean(features, [each for each in (1, 2, 3) if each != kept], keep_dims=False).output(0)
    if places == 3:
        return ops.gather(features, 0, 1).output(0)
    if places != 2:
        raise NoSuchOutputError(f"{title} gives {shape} there, not a vector for each picture.")
    return features


def _list_outputs(graph: Any) -> str:
    return ", ".join(
        f"{next(iter(sorted(each.get_names())), each.get_node().get_friendly_name())} {each.get_partial_shape()}"
        for each in graph.outputs
    )
