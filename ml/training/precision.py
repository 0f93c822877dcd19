"""The numbers that networks are trained with."""

from __future__ import annotations

import torch

from ml.inference.openvino_runtime import computes_bf16


def autocast(device: torch.device) -> torch.autocast:
    """Return a context in which layers compute in bf16, where `device` can, else in float32.

    A processor without instructions for bf16 imitates it, at a fifth of the speed of float32.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type != "cpu" or computes_bf16())
