"""Makes `import torchvision` work beside a CPU build of torch.

The published torchvision wheel is built for CUDA; beside a CPU build its compiled operators do not load, and its
import stops at the first that is missing. Networks and transforms need none of them, so the schemas are enough.
"""

from __future__ import annotations

from types import ModuleType

import torch

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)

_fragments: list[torch.library.Library] = []  # held for ever: a fragment that is collected takes its schemas along


def import_torchvision() -> ModuleType:
    """Return the `torchvision` module; where its plain import works, nothing else happens."""
    try:
        import torchvision
    except RuntimeError as exc:
        if "torchvision::nms" not in str(exc):
            raise
        _register_schemas()
        import torchvision
    return torchvision


def _register_schemas() -> None:
    fragment = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for schema in SCHEMAS:
        fragment.define(schema)  # type: ignore[no-untyped-call]
    _fragments.append(fragment)
