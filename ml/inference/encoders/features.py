"""Which tensor of a graph holds a picture's features, and how it becomes one vector a picture."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ml.errors import MlError
from ml.inference.openvino_runtime import Graph, import_openvino, read_output

POOLING = ("AvgPool", "ReduceMean")
EMBEDDING = re.compile("embed|pooler|feature", re.IGNORECASE)
SCALING = ("Multiply", "Subtract", "Divide")  # by constants, as in graphs of 8 bits
OF_CLASSIFIERS = (
    *("Reshape", "Squeeze", "Unsqueeze", "Transpose", "Convert", "FakeQuantize"),
    *("MatMul", "FullyConnected", "Convolution", "Add", "Softmax", "LogSoftmax", "Sigmoid", "Result"),
)


class NoSuchOutputError(MlError):
    """A graph has no tensor of the name that was asked for, or several that could be meant."""


@dataclass(frozen=True)
class Features:
    """The output of an operation, features[N, dim], and the name of the tensor it is made of."""

    output: Graph
    name: str


def find_features(graph: Graph, name: str, title: str, axis: int) -> Features:
    """Find what an encoder's vectors are made of.

    `name` is that of an output or of any tensor or operation; of maps the average is taken, of a sequence its first
    place, which transformers keep for the whole picture. Without a name it is an output that calls itself an embedding,
    else the last average over all places if nothing but a classifier comes after it, else the only output. `title`
    names the graph in errors; `axis` of maps holds the channels.

    Raises:
        NoSuchOutputError: the message lists the outputs that there are.
    """
    found = _find_by_name(graph, name) if name else _find_unnamed(graph, title)
    if found is None:
        raise NoSuchOutputError(f"{title} has no output {name!r}; it has {_list_outputs(graph)}.")
    return Features(_pool_to_one_vector(found, title, axis), name or _name_tensor(found))


def _find_unnamed(graph: Graph, title: str) -> Graph:
    for output in graph.outputs:
        if EMBEDDING.search(_name_tensor(output)):
            return output.get_node().input_value(0)
    pools = [each.output(0) for each in graph.get_ordered_ops() if _averages_maps(each)]
    if pools and _leads_to_classifier(pools[-1]):
        return pools[-1]
    if len(graph.outputs) > 1:
        raise NoSuchOutputError(f"{title} has several outputs; name one with --output: {_list_outputs(graph)}.")
    return read_output(graph)


def _leads_to_classifier(pool: Graph) -> bool:
    """Whether what comes after only weighs and adds: any other operation makes the vector what it should be."""
    waiting, seen = [pool], set()
    while waiting:
        for target in waiting.pop().get_target_inputs():
            operation = target.get_node()
            if operation.get_friendly_name() in seen:
                continue
            seen.add(operation.get_friendly_name())
            kind = operation.get_type_name()
            others = [each.get_node() for each in operation.input_values() if each.get_node() != pool.get_node()]
            scales = kind in SCALING and any(each.get_type_name() in ("Constant", "Convert") for each in others)
            if kind not in OF_CLASSIFIERS and not scales:
                return False
            waiting += operation.outputs()
    return True


def _find_by_name(graph: Graph, name: str) -> Graph | None:
    for operation in graph.get_ordered_ops():
        is_end = operation.get_type_name() == "Result"
        for output in operation.outputs():
            if name in output.get_names() or name == operation.get_friendly_name():
                # A result computes nothing: what goes into it is what is meant.
                return operation.input_value(0) if is_end else output
    return None


def _averages_maps(operation: Graph) -> bool:
    """Whether it averages maps over all places: networks also average over channels, to normalise them."""
    if operation.get_type_name() not in POOLING:
        return False
    before, after = operation.input(0).get_partial_shape(), operation.output(0).get_partial_shape()
    if before.rank.is_dynamic or before.rank.get_length() != 4:
        return False
    left = [axis for axis in range(1, after.rank.get_length()) if after[axis] != 1]
    # Whatever the file's layout, OpenVINO may compute with channels first.
    return len(left) == 1 and after[left[0]].is_static and after[left[0]] in (before[1], before[3])


def _pool_to_one_vector(features: Graph, title: str, axis: int) -> Graph:
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


def _list_outputs(graph: Graph) -> str:
    return ", ".join(f"{_name_tensor(each)} {each.get_partial_shape()}" for each in graph.outputs)


def _name_tensor(output: Graph) -> str:
    return str(min(output.get_names(), default=output.get_node().get_friendly_name()))
