"""The training run: epochs, each with its judgement and its checkpoint."""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from torch import Tensor, nn
from tqdm import tqdm

from ml.recipe import ModelFilesError

from .checkpoint import Best, Checkpoint, read_checkpoint, require_shapes, write_checkpoint
from .data.batches import Batches, draw_balanced_order
from .data.photo_pixels import Photos
from .errors import TrainingError
from .files import CHECKPOINT
from .history import Epoch, write_history
from .learning.learner import Learner
from .plan import Plan
from .requirements import refuse_what_cannot_be_trained
from .validation.retrieval import Judgement, judge_network


class Run:
    """One training run in `folder`; `train()` starts it or goes on with it.

    `start` holds the starting weights that are worth keeping, by their names in the network (see `forgetting`).
    """

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        network: nn.Module,
        dim: int,
        photos: Photos,
        validation: Photos | None = None,
        *,
        start: Mapping[str, Tensor] | None = None,
    ) -> None:
        refuse_what_cannot_be_trained(plan, network, photos, validation)
        self.folder, self.plan, self.photos, self.validation = folder, plan, photos, validation
        taught_dim = 0 if photos.teachers is None else photos.teachers.dim
        self.learner = Learner(plan, network, photos.class_counts, dim, start or {}, taught_dim)
        self.epochs: list[Epoch] = []
        self.best = Best()
        self.judgement: Judgement | None = None  # none until an epoch ends, in a resumed run too
        self._resumed = False

    def best_network(self) -> nn.Module:
        """Return the result of the best epoch, in evaluation mode on the CPU."""
        network = copy.deepcopy(self.learner.network).cpu()
        network.load_state_dict(self.best.weights)
        return network.eval()

    def train(self, after_epoch: Callable[[Run], None] = lambda run: None) -> None:
        """Run the epochs that are left; `after_epoch` is called before the epoch's checkpoint is written.

        Raises:
            TrainingError: the folder holds a run with another plan or other pictures, or the loss is not finite.
            ModelFilesError: the folder's checkpoint is damaged or of another network.
        """
        if not self._resumed:
            self.resume()
        while not self.is_finished:
            self.epochs.append(self._run_epoch(len(self.epochs)))
            self._remember_epoch_if_best()
            # Called before the checkpoint is written: a run killed in between repeats the epoch and reports it again.
            after_epoch(self)
            write_checkpoint(self.folder, self._make_checkpoint())
            write_history(self.folder, self.epochs)

    @property
    def is_finished(self) -> bool:
        """Whether the plan's epochs or minutes are over, or nothing got better for too long."""
        stale = self.validation is not None and len(self.epochs) - 1 - self.best.epoch >= self.plan.patience
        return stale or self._elapsed_fraction(len(self.epochs), 0) >= 1

    def _elapsed_fraction(self, epochs: float, seconds: float) -> float:
        """Return the part of the run that is over, `seconds` after the last whole epoch."""
        return self.plan.elapsed_fraction(epochs, sum(epoch.seconds for epoch in self.epochs) + seconds)

    def _run_epoch(self, number: int) -> Epoch:
        over = self._elapsed_fraction(number, 0)
        size = self.plan.size_at(over)
        batches = self._make_batches(number, size)
        # What teachers say is asked before the clock starts: it is known already where an epoch shows the same views.
        started = time.monotonic()
        self.learner.begin_epoch(number, over)
        losses, right, steps = 0.0, 0.0, 0
        progress = tqdm(batches, desc=f"epoch {number + 1}, {size} px", disable=None, leave=False)
        for batch in progress:
            part = self._elapsed_fraction(number + steps / len(batches), time.monotonic() - started)
            # Minutes may end a run within an epoch, but not before its first step: it would have no mean loss.
            if part >= 1 and steps:
                break
            loss, share = self.learner.take_step(batch, part)
            losses, right, steps = losses + loss, right + share, steps + 1
            progress.set_postfix(loss=f"{losses / steps:.3f}", accuracy=f"{right / steps:.3f}")
        seconds = time.monotonic() - started
        rate, pictures, figures = self.learner.schedule.head_rate, steps * self.plan.batch, self._judge_validation(size)
        return Epoch(number, size, losses / steps, right / steps, rate, seconds, pictures, figures)

    def _make_batches(self, number: int, size: int) -> Batches:
        plan, photos = self.plan, self.photos
        # Order and views follow from the seed and the epoch's number alone, so that a repeated epoch is the same.
        rng = np.random.default_rng((plan.seed, number))
        order = draw_balanced_order(photos.targets, photos.emphasis, photos.epoch_length, plan.balance, rng)
        return Batches(
            photos,
            order,
            batch=plan.batch,
            size=size,
            how=plan.augmentation,
            seed=int(rng.integers(2**31)),
            # On a processor the training step needs the cores itself. A GPU leaves them free and waits for batches, so
            # there all of them, up to 16, prepare some.
            threads=1 if self.learner.device.type == "cpu" else min(16, os.cpu_count() or 1),
            lessons=None if photos.teachers is None else photos.teachers.prepare_lessons(number % plan.views, order),
        )

    def _judge_validation(self, size: int) -> dict[str, float]:
        if self.validation is None:
            return {}
        self.judgement = judge_network(self.learner.result, self.validation, size, self.learner.device)
        return self.judgement.figures

    def _remember_epoch_if_best(self) -> None:
        epoch = self.epochs[-1]
        found = epoch.validation.get("map_at_r", math.inf)
        if found > self.best.map_at_r or self.validation is None:
            state = self.learner.result.state_dict()
            # The weights are cloned, because training goes on in the same tensors.
            weights = {name: tensor.detach().cpu().clone() for name, tensor in state.items()}
            self.best = Best(epoch.number, found, weights)

    def _make_checkpoint(self) -> Checkpoint:
        learner = self.learner
        return Checkpoint(
            plan=self.plan.as_dict(),
            classes=self.photos.classes,
            epochs=self.epochs,
            best=self.best,
            network=learner.network.state_dict(),
            loss=learner.loss.state_dict(),
            average=learner.average.state_dict() if learner.average else None,
            optimiser=learner.optimiser.state_dict(),
            photos=self.photos.fingerprint,
        )

    def resume(self) -> None:
        """Take up what the folder's checkpoint holds, if there is one; the errors are those of `train`."""
        self._resumed = True
        self.folder.mkdir(parents=True, exist_ok=True)
        saved = read_checkpoint(self.folder)
        if saved is None:
            return
        self._refuse_another_run(saved)
        try:
            self.learner.load_state(saved)
        except (RuntimeError, ValueError, TypeError, LookupError) as exc:
            # Which of these torch raises depends on what it stumbles over first.
            reason = " ".join(str(exc).split())
            raise ModelFilesError(f"{self.folder / CHECKPOINT} does not fit this run: {reason}") from exc
        self.epochs, self.best = saved.epochs, saved.best

    def _refuse_another_run(self, saved: Checkpoint) -> None:
        another = None
        if names := self.plan.differing_fields(saved.plan):
            another = f"another plan ({', '.join(names)})"
        elif saved.classes != self.photos.classes:
            another = "other classes"
        elif saved.photos not in (None, self.photos.fingerprint):
            another = "other pictures"
        if another:
            raise TrainingError(f"{self.folder} holds a run with {another}; choose another folder.")
        require_shapes(self.folder, saved.network, self.learner.network.state_dict())
