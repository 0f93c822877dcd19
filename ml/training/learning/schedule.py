"""How the learning rates change over a run."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def rate_factor(part: float, warm_up: float) -> float:
    """The multiple of a learning rate when `part` of a run, 0 to 1, is over: a linear rise, then half a cosine to 0.

    Loshchilov & Hutter 2017 (cosine), Goyal et al. 2017 (warm-up).
    """
    if part < warm_up:
        return part / warm_up
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (part - warm_up) / (1 - warm_up))))


class Schedule:
    """Sets the learning rates of an optimiser by the part of the run that is over.

    The part decides and not the number of steps, because a run may be as long as the clock says. So nothing of the
    schedule is in a checkpoint: a resumed run sets the rates of its next step from the same part.
    """

    def __init__(self, optimiser: Optimizer, warm_up: float) -> None:
        """`optimiser` has the rates that are multiplied; a checkpoint may be loaded into it later."""
        self._optimiser, self._warm_up = optimiser, warm_up
        self._full_rates = [group["lr"] for group in optimiser.param_groups]
        self._scheduler: LambdaLR | None = None
        self._part = 0.0

    def set_rates(self, part: float) -> None:
        """Set the rates of the next step, when `part` of the run is over."""
        self._part = part
        if self._scheduler is None:
            self._scheduler = self._start_scheduler()
        else:
            self._scheduler.step()

    def _start_scheduler(self) -> LambdaLR:
        # Unless `initial_lr` says otherwise, a new scheduler takes the rate of a group for its full one. After a
        # checkpoint was loaded that is the rate of its last step.
        for group, rate in zip(self._optimiser.param_groups, self._full_rates, strict=True):
            group["initial_lr"] = rate
        return LambdaLR(self._optimiser, lambda _step: rate_factor(self._part, self._warm_up))

    @property
    def head_rate(self) -> float:
        """The rate of the head, which is in the optimiser's last group, in the step that was taken last."""
        return float(self._optimiser.param_groups[-1]["lr"])
