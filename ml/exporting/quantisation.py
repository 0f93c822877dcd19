"""Inference in 8 bits: a second graph, made from the one in float32 and photos of the model's own. Needs NNCF.

What decides answers after the last convolution stays as it is: powers in pooling, the last layer, colours, and the
division by the length, which 8 bits would break (vectors no longer of length 1).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.errors import MlError, find_cause_line
from ml.inference.arrays import Pixels
from ml.inference.openvino_runtime import Graph, import_openvino
from ml.recipe import Recipe

from .graph import add_preprocessing

# These operations never run in 8 bits, because they decide answers after the last convolution. The names are those that
# torch's modules have in a converted graph.
KEPT = (
    r"__module\.network\.avgpool.*",
    r"__module\.network\.fc.*",
    r"__module\.network\.colour.*",
    r"__module\.network/.*",
    r"aten::(linalg_vector_norm|clamp_min|div).*",
)
# In a graph of unknown names these kinds of operations, which average maps and divide by the length.
ENDS = ("ReduceMean", "AvgPool", "NormalizeL2")

LAST_STAGE = r"__module\.network\.layer4.*"


class QuantisationError(MlError):
    """A graph cannot be computed in 8 bits; another precision can be taken."""


def quantise_graph(graph: Graph, pictures: Pixels, recipe: Recipe, kept: Sequence[str] = ()) -> Graph:
    """A finished graph in 8 bits, uint8[N, S, S, 3] -> float32[N, dim], of our network's, float32[N, 3, S, S] ->.

    Operations whose names match `kept` stay as they are too. `pictures` are uint8[N, S, S, 3].
    """
    graph = graph.clone()
    _name_convolutions(graph)
    samples = [_normalise_picture(picture, recipe) for picture in pictures]
    return add_preprocessing(_quantise(graph, samples, patterns=[*KEPT, *kept]), recipe)


def quantise_encoder_graph(graph: Graph, pictures: Pixels) -> Graph:
    """A copy in 8 bits of somebody else's graph, uint8[N, S, S, 3] -> float32[N, dim]; its last steps stay as they are.

    Raises:
        QuantisationError: NNCF cannot do that with this graph.
    """
    try:
        return _quantise(graph.clone(), list(pictures[:, np.newaxis]), types=ENDS)
    except Exception as exc:  # what NNCF raises for graphs that it does not know is of many kinds
        raise QuantisationError(f"This graph cannot be computed in 8 bits: {find_cause_line(exc)}") from exc


def is_in_8_bits(graph: Graph) -> bool:
    """Whether a graph was quantised by whoever made it, as 8-bit TFLite files are."""
    return any(operation.get_type_name() == "FakeQuantize" for operation in graph.get_ordered_ops())


def _quantise(graph: Graph, samples: Sequence[npt.NDArray[Any]], **ignored: Sequence[str]) -> Graph:
    """Post-training quantisation (Jacob et al., CVPR 2018) with fast bias correction.

    The samples should be like the pictures that the model will see: the ranges of activations are theirs.
    """
    import_openvino()
    import nncf

    logging.getLogger("nncf").setLevel(logging.ERROR)
    return nncf.quantize(
        graph,
        nncf.Dataset(samples),
        subset_size=len(samples),
        preset=nncf.QuantizationPreset.PERFORMANCE,
        target_device=nncf.TargetDevice.CPU,
        ignored_scope=nncf.IgnoredScope(**ignored, validate=False),
    )


def _name_convolutions(graph: Graph) -> None:
    """Name each after the module of what follows it: the batch norm that was folded into it took its name away."""
    for operation in graph.get_ordered_ops():
        name = operation.get_friendly_name()
        if operation.get_type_name() == "Convolution" and not name.startswith("__module"):
            after = next(iter(operation.output(0).get_target_inputs())).get_node()
            # Names must differ, and one module may hold several convolutions, so each new name ends in the old one.
            operation.set_friendly_name(f"{after.get_friendly_name().split('/')[0]}/{name}")


def _normalise_picture(picture: Pixels, recipe: Recipe) -> npt.NDArray[np.float32]:
    """float32[1, 3, S, S], as the network takes it: the finished graph does this itself."""
    mean, std = np.array(recipe.mean, np.float32), np.array(recipe.std, np.float32)
    scaled = (picture.astype(np.float32) - mean) / std
    return scaled.transpose(2, 0, 1)[None]
