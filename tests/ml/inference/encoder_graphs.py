"""Small networks as others would hand them in: ONNX files whose vectors a test can compute by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

SIDE = 32
DIM = 16
_DICE = np.random.default_rng(5)
# What the first layer makes of a pixel's three channels, and the last of what is pooled. Neither adds a bias, and both
# are of a width that processors compute in whole registers, as those of real networks are.
SEEN = _DICE.normal(size=(3, DIM)).astype(np.float32)
MIXTURE = _DICE.normal(size=(DIM, DIM)).astype(np.float32)


def write_colour_network(path: Path, *, batch: str | int = "n", side: str | int = "s", more: bool = False) -> Path:
    """float32[N, 3, S, S] -> `vector` float32[N, 16], linear in the means of the channels.

    `more` has it give, beside the vector, `maps` [N, 16, S, S] and `places` [N, S * S + 1, 16], the first place the
    mean of the picture; a fixed `batch` is written into the graph as well, as some exporters do.
    """
    nodes = [
        *see_colours(),
        node("GlobalAveragePool", ["seen"], ["pooled"]),
        node("Reshape", ["pooled", "flat"], ["means"]),
        node("MatMul", ["means", "mixture"], ["vector"]),
    ]
    rows = batch if isinstance(batch, int) else 0
    constants = [KERNEL, constant("flat", np.array([rows, DIM], np.int64)), constant("mixture", MIXTURE)]
    outputs = [make_output("vector", [batch, DIM])]
    if more:
        nodes += [
            node("Relu", ["seen"], ["maps"]),
            node("Reshape", ["seen", "lines"], ["line"]),
            node("Transpose", ["line"], ["pixels"], perm=[0, 2, 1]),
            node("Reshape", ["means", "place"], ["first"]),
            node("Concat", ["first", "pixels"], ["places"], axis=1),
        ]
        constants += [constant("lines", np.array([0, DIM, -1], np.int64)), constant("place", np.array([0, 1, DIM]))]
        outputs += [make_output("maps", [batch, DIM, side, side]), make_output("places", [batch, "p", DIM])]
    return write_network(path, nodes, constants, outputs, [batch, 3, side, side])


def see_colours() -> list[Any]:
    """A convolution of one pixel: `pictures` to `seen`, [N, 16, S, S]; it needs `KERNEL`."""
    return [node("Conv", ["pictures", "kernel"], ["seen"], kernel_shape=[1, 1])]


def write_network(path: Path, nodes: list[Any], constants: list[Any], outputs: list[Any], shape: list[Any]) -> Path:
    """An ONNX file that takes `pictures`, float32 of `shape`."""
    pictures = helper.make_tensor_value_info("pictures", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "network", [pictures], outputs, constants)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def make_output(name: str, shape: list[Any]) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def constant(name: str, value: Any) -> Any:
    return numpy_helper.from_array(value, name)


node = helper.make_node
KERNEL = constant("kernel", SEEN.T[:, :, np.newaxis, np.newaxis].copy())
