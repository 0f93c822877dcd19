"""Small networks as others would hand them in: ONNX files whose vectors a test can compute by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

SIDE = 32
DIM = 8
# What the last layer makes of the three channels' means; without a bias, so that its vectors are those of the means.
MIXTURE = np.random.default_rng(5).normal(size=(3, DIM)).astype(np.float32)


def write_colour_network(path: Path, *, batch: str | int = "n", side: str | int = "s", more: bool = False) -> Path:
    """float32[N, 3, S, S] -> `vector` float32[N, 8], linear in the means of the channels.

    `more` has it give, beside the vector, `maps` [N, 3, S, S] and `places` [N, S * S + 1, 3], the first place zero but
    for the mean of the picture; a fixed `batch` is written into the graph as well, as some exporters do.
    """
    nodes = [
        helper.make_node("GlobalAveragePool", ["pictures"], ["pooled"]),
        helper.make_node("Reshape", ["pooled", "flat"], ["means"]),
        helper.make_node("MatMul", ["means", "mixture"], ["vector"]),
    ]
    rows = batch if isinstance(batch, int) else 0
    constants = [_constant("flat", np.array([rows, 3], np.int64)), _constant("mixture", MIXTURE)]
    outputs = [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [batch, DIM])]
    if more:
        nodes += [
            helper.make_node("Relu", ["pictures"], ["maps"]),
            helper.make_node("Reshape", ["pictures", "lines"], ["line"]),
            helper.make_node("Transpose", ["line"], ["pixels"], perm=[0, 2, 1]),
            helper.make_node("Reshape", ["means", "place"], ["first"]),
            helper.make_node("Concat", ["first", "pixels"], ["places"], axis=1),
        ]
        constants += [_constant("lines", np.array([0, 3, -1], np.int64)), _constant("place", np.array([0, 1, 3]))]
        outputs += [helper.make_tensor_value_info("maps", TensorProto.FLOAT, [batch, 3, side, side])]
        outputs += [helper.make_tensor_value_info("places", TensorProto.FLOAT, [batch, "p", 3])]
    return write_network(path, nodes, constants, outputs, [batch, 3, side, side])


def write_network(path: Path, nodes: list[Any], constants: list[Any], outputs: list[Any], shape: list[Any]) -> Path:
    """An ONNX file that takes `pictures`, float32 of `shape`."""
    pictures = helper.make_tensor_value_info("pictures", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "network", [pictures], outputs, constants)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def make_output(name: str, shape: list[Any]) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _constant(name: str, value: Any) -> Any:
    return numpy_helper.from_array(value, name)


constant = _constant
node = helper.make_node
