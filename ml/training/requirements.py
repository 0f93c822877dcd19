"""What a run needs before it starts."""

from __future__ import annotations

from torch import nn

from .data.photo_pixels import Photos
from .errors import TrainingError
from .plan import Plan
from .validation.retrieval import can_be_judged


def refuse_what_cannot_be_trained(plan: Plan, network: nn.Module, photos: Photos, validation: Photos | None) -> None:
    """Check a plan against the network and the pictures.

    Raises:
        TrainingError: a frozen layer is not there, there are too few classes or pictures, or nothing can be judged.
    """
    layers = [name for name, _ in network.named_modules()]
    for layer in plan.frozen:
        if layer not in layers:
            tops = ", ".join(name for name, _ in network.named_children())
            raise TrainingError(f"There is no layer {layer!r} to freeze; the network has: {tops}.")
    if len(photos.classes) < 2 and not plan.teachers:
        raise TrainingError("All pictures are of one class; training needs at least two.")
    if photos.epoch_length < plan.batch:
        raise TrainingError(f"{photos.epoch_length} pictures are fewer than a batch of {plan.batch}.")
    if validation is not None and not can_be_judged(validation):
        raise TrainingError(
            "No validation picture has another of its class to find (by another group, where there are groups); "
            "give more of them, or none."
        )
