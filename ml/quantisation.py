"""Inference in 8 bits: a second graph, made from the one in float32 and photos of the model's own. Needs NNCF.

What decides answers after the last layer of the network stays in float32: powers in pooling, colours, and the division
by the length, which 8 bits would break (vectors no longer of length 1).
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from .preprocess import Pixels
from .recipe import Recipe
from .runtime import import_openvino

KEPT = (  # operations that stay as they are, by the names torch's modules have in a converted graph
    r"__module\.network\.avgpool.*",
    r"__module\.network\.colour.*",
    r"__module\.network/.*",
    r"aten::(linalg_vector_norm|clamp_min|div).*",
)


def quantised(graph: Any, pictures: Pixels, recipe: Recipe) -> Any:
    """A copy of `graph`, float32[N, 3, S, S] -> float32[N, dim], with weights and activations of 8 bits.

    Post-training quantisation (Jacob et al., CVPR 2018) with fast bias correction; `pictures`, uint8[N, S, S, 3],
    should be like those the model will see: the ranges of activations are theirs.
    """
    import_openvino()
    import nncf

    logging.getLogger("nncf").setLevel(logging.ERROR)
    samples = [_as_input(picture, recipe) for picture in pictures]
    return nncf.quantize(
        graph,
        nncf.Dataset(samples),
        subset_size=len(samples),
        preset=nncf.QuantizationPreset.PERFORMANCE,
        target_device=nncf.TargetDevice.CPU,
        ignored_scope=nncf.IgnoredScope(patterns=list(KEPT), validate=False),
    )


def _as_input(picture: Pixels, recipe: Recipe) -> npt.NDArray[np.float32]:
    """float32[1, 3, S, S], as the network takes it: the finished graph does this itself."""
    mean, std = np.array(recipe.mean, np.float32), np.array(recipe.std, np.float32)
    scaled = (picture.astype(np.float32) - mean) / std
    return scaled.transpose(2, 0, 1)[None]
