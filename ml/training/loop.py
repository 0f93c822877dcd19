"""The training run: epochs, each with its judgement and its checkpoint."""

from __future__ import annotations

import copy
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from ml.errors import MlError
from ml.network.resnet import normalised
from ml.recipe import ModelFilesError

from . import checkpoint, history
from .data.batches import Batches, balanced_order
from .data.photo_pixels import Photos
from .files import CHECKPOINT
from .forgetting import interpolated, pull_back
from .history import Epoch
from .loss import accuracy, loss_for
from .optimisation import freeze, moving_average, optimiser_for, rate
from .plan import Plan
from .validation.retrieval import Judgement, can_be_judged, judgement


class TrainingError(MlError):
    """A run cannot start, or cannot go on; the message says why."""


class Run:
    """One training run in `folder`; `train()` starts it or goes on with it.

    `start` holds the starting weights that are worth keeping (see `forgetting`), by their names in the network.
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
        _refuse_what_cannot_be_trained(plan, network, photos, validation)
        self.folder, self.plan, self.photos, self.validation = folder, plan, photos, validation
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(plan.seed)
        self.network = network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.start = {name: tensor.detach().clone().to(self.device) for name, tensor in (start or {}).items()}
        self.loss = loss_for(plan, len(photos.classes), dim).to(self.device)
        for layer in plan.frozen:
            self.network.get_submodule(layer).requires_grad_(False)
        self.average = (
            AveragedModel(self.network, multi_avg_fn=moving_average(plan.ema, plan.ema_warm_up), use_buffers=True)
            if plan.ema
            else None
        )
        self.optimiser = optimiser_for(self.network, self.loss, plan, self.start if plan.l2_sp else ())
        self.rates = [group["lr"] for group in self.optimiser.param_groups]
        self.epochs: list[Epoch] = []
        self.best: dict[str, Any] = {"map_at_r": -math.inf, "epoch": -1}
        self._resumed = False
        self.judgement: Judgement | None = None  # of the epoch that ended last in this process

    @property
    def result(self) -> nn.Module:
        """The network whose vectors are used: averaged over steps, and mixed with the start, as the plan says."""
        trained = self.average.module if self.average else self.network
        return interpolated(trained, self.start, self.plan.keep) if self.plan.keep else trained

    def best_network(self) -> nn.Module:
        """The result of the best epoch, in evaluation mode on the CPU."""
        network = copy.deepcopy(self.network).cpu()
        network.load_state_dict(self.best["weights"])
        return network.eval()

    def train(self, after_epoch: Callable[[Run], None] = lambda run: None) -> None:
        """Run the epochs that are left; `after_epoch` is called before the epoch's checkpoint is written.

        Raises:
            TrainingError: the folder holds a run with another plan or other pictures, or the loss is not finite.
            ModelFilesError: the folder's checkpoint is damaged or of another network.
        """
        if not self._resumed:
            self.resume()
        while not self.finished:
            self.epochs.append(self._epoch(len(self.epochs)))
            self._remember_best()
            after_epoch(self)
            checkpoint.save(self.folder, self._state())
            history.write(self.folder, self.epochs)

    @property
    def finished(self) -> bool:
        """Whether the plan's epochs or minutes are over, or nothing got better for too long."""
        stale = self.validation is not None and len(self.epochs) - 1 - self.best["epoch"] >= self.plan.patience
        return stale or self._done(len(self.epochs), 0) >= 1

    def _done(self, epochs: float, seconds: float) -> float:
        """The part of the run that is over, `seconds` after the last whole epoch."""
        if self.plan.minutes:
            return (sum(epoch.seconds for epoch in self.epochs) + seconds) / (60 * self.plan.minutes)
        return epochs / self.plan.epochs

    def _epoch(self, number: int) -> Epoch:
        plan, started = self.plan, time.monotonic()
        size = plan.size_at(self._done(number, 0))
        batches = self._batches(number, size)
        self.network.train()
        freeze(self.network, plan.frozen)
        torch.manual_seed(plan.seed * 100_003 + number)
        losses, right, steps = 0.0, 0.0, 0
        progress = tqdm(batches, desc=f"epoch {number + 1}, {size} px", disable=None, leave=False)
        for views, targets in progress:
            done = self._done(number + steps / len(batches), time.monotonic() - started)
            if done >= 1 and steps:
                break
            value, hit = self._step(views, targets, done)
            losses, right, steps = losses + value, right + hit, steps + 1
            progress.set_postfix(loss=f"{losses / steps:.3f}", accuracy=f"{right / steps:.3f}")
        seconds = time.monotonic() - started
        lr = self.optimiser.param_groups[-1]["lr"]
        if self.validation is not None:
            self.judgement = judgement(self.result, self.validation, size, self.device)
        figures = self.judgement.figures if self.judgement else {}
        return Epoch(number, size, losses / steps, right / steps, lr, seconds, steps * plan.batch, figures)

    def _batches(self, number: int, size: int) -> Batches:
        plan, photos = self.plan, self.photos
        rng = np.random.default_rng((plan.seed, number))
        order = balanced_order(photos.targets, photos.emphasis, photos.epoch_length, plan.balance, rng)
        return Batches(
            photos,
            order,
            batch=plan.batch,
            size=size,
            how=plan.augmentation,
            seed=int(rng.integers(2**31)),
            threads=1 if self.device.type == "cpu" else min(16, os.cpu_count() or 1),
        )

    def _step(self, views: Tensor, targets: Tensor, done: float) -> tuple[float, float]:
        for group, lr in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = lr * rate(done, self.plan.warm_up)
        targets = targets.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16):
            vectors = self.network(normalised(views.to(self.device)))
        loss, logits = self.loss(vectors.float(), targets)
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingError(f"The loss became {value} at {done:.0%} of the run; train with a lower rate.")
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.plan.clip)
        if self.plan.l2_sp:
            pull_back(self.network, self.start, self.plan.l2_sp)
        self.optimiser.step()
        if self.average:
            self.average.update_parameters(self.network)
        return value, accuracy(logits, targets)

    def _remember_best(self) -> None:
        found = self.epochs[-1].validation.get("map_at_r", math.inf)
        if found > self.best["map_at_r"] or self.validation is None:
            weights = {name: tensor.detach().cpu().clone() for name, tensor in self.result.state_dict().items()}
            self.best = {"map_at_r": found, "epoch": self.epochs[-1].number, "weights": weights}

    def _state(self) -> dict[str, Any]:
        return {
            "plan": json.dumps(self.plan.as_dict()),
            "classes": self.photos.classes,
            "photos": self.photos.fingerprint,
            "epoch": len(self.epochs),
            "epochs": [vars(epoch) for epoch in self.epochs],
            "best": self.best,
            "network": self.network.state_dict(),
            "loss": self.loss.state_dict(),
            "average": self.average.state_dict() if self.average else None,
            "optimiser": self.optimiser.state_dict(),
        }

    def resume(self) -> None:
        """Take up what the folder's checkpoint holds, if there is one; the errors are those of `train`."""
        self._resumed = True
        self.folder.mkdir(parents=True, exist_ok=True)
        state = checkpoint.load(self.folder)
        if state is None:
            return
        self._refuse_another_run(state)
        try:
            self.network.load_state_dict(state["network"])
            self.loss.load_state_dict(state["loss"])
            self.optimiser.load_state_dict(state["optimiser"])
            if self.average:
                self.average.load_state_dict(state["average"])
            self.epochs = [Epoch(**fields) for fields in state["epochs"]]
        except (RuntimeError, ValueError, TypeError, LookupError) as exc:
            reason = " ".join(str(exc).split())
            raise ModelFilesError(f"{self.folder / CHECKPOINT} does not fit this run: {reason}") from exc
        self.best = state["best"]

    def _refuse_another_run(self, state: dict[str, Any]) -> None:
        another = None
        if names := self.plan.differences(json.loads(state["plan"])):
            another = f"another plan ({', '.join(names)})"
        elif state["classes"] != self.photos.classes:
            another = "other classes"
        elif state.get("photos", self.photos.fingerprint) != self.photos.fingerprint:
            another = "other pictures"
        if another:
            raise TrainingError(f"{self.folder} holds a run with {another}; choose another folder.")
        checkpoint.require_shapes(self.folder, state["network"], self.network.state_dict())


def _refuse_what_cannot_be_trained(plan: Plan, network: nn.Module, photos: Photos, validation: Photos | None) -> None:
    layers = [name for name, _ in network.named_modules()]
    for layer in plan.frozen:
        if layer not in layers:
            tops = ", ".join(name for name, _ in network.named_children())
            raise TrainingError(f"There is no layer {layer!r} to freeze; the network has: {tops}.")
    if len(photos.classes) < 2:
        raise TrainingError("All pictures are of one class; training needs at least two.")
    if photos.epoch_length < plan.batch:
        raise TrainingError(f"{photos.epoch_length} pictures are fewer than a batch of {plan.batch}.")
    if validation is not None and not can_be_judged(validation):
        raise TrainingError(
            "No validation picture has another of its class to find (by another group, where there are groups); "
            "give more of them, or none."
        )
