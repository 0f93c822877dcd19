"""The training run: epochs, each with its judgement and its checkpoint."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from ml.errors import MlError
from ml.evaluation.metrics import Labelled, judge
from ml.recipe import IMAGENET_MEAN, IMAGENET_STD

from . import checkpoint
from .batches import Batches, balanced_order
from .extraction import extract
from .loss import ClassifierLoss, ProxyLoss, accuracy
from .optimisation import freeze, optimiser_for, rate
from .photo_pixels import Photos
from .plan import Plan

HISTORY = "history.jsonl"


class TrainingError(MlError):
    """A run cannot start, or cannot go on; the message says why."""


@dataclass
class Epoch:
    """What is known after an epoch; `validation` is empty where there are no validation pictures."""

    number: int
    size: int
    loss: float
    accuracy: float
    lr: float
    seconds: float
    pictures: int
    validation: dict[str, float]


class Run:
    """One training run in `folder`; `train()` starts it or goes on with it."""

    def __init__(
        self, folder: Path, plan: Plan, network: nn.Module, dim: int, photos: Photos, validation: Photos | None = None
    ) -> None:
        self.folder, self.plan, self.photos, self.validation = folder, plan, photos, validation
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(plan.seed)
        self.network = network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loss = _loss(plan, len(photos.classes), dim).to(self.device)
        for layer in plan.frozen:
            self.network.get_submodule(layer).requires_grad_(False)
        self.average = (
            AveragedModel(self.network, multi_avg_fn=_moving_average(plan.ema), use_buffers=True) if plan.ema else None
        )
        self.optimiser = optimiser_for(self.network, self.loss, plan)
        self.rates = [group["lr"] for group in self.optimiser.param_groups]
        self.epochs: list[Epoch] = []
        self.best: dict[str, Any] = {"map_at_r": -math.inf, "epoch": -1}

    @property
    def result(self) -> nn.Module:
        """The network whose vectors are used: the average of the weights where the plan keeps one."""
        return self.average.module if self.average else self.network

    def train(self, after_epoch: Callable[[Run], None] = lambda run: None) -> None:
        """Run the epochs that are left.

        Raises:
            TrainingError: the folder holds a run with another plan or other classes, or the loss is not finite.
            ModelFilesError: the folder's checkpoint is damaged.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._resume()
        while len(self.epochs) < self.plan.epochs and not self._stale():
            self.epochs.append(self._epoch(len(self.epochs)))
            self._remember_best()
            checkpoint.save(self.folder, self._state())
            with (self.folder / HISTORY).open("a") as file:
                file.write(json.dumps(vars(self.epochs[-1])) + "\n")
            after_epoch(self)

    def _stale(self) -> bool:
        return self.validation is not None and len(self.epochs) - 1 - self.best["epoch"] >= self.plan.patience

    def _epoch(self, number: int) -> Epoch:
        plan, started = self.plan, time.monotonic()
        size = plan.size_at(number)
        rng = np.random.default_rng((plan.seed, number))
        order = balanced_order(self.photos.targets, self.photos.emphasis, self.photos.epoch_length, plan.balance, rng)
        batches = Batches(
            self.photos.pixels,
            self.photos.targets,
            order,
            batch=plan.batch,
            size=size,
            how=plan.augmentation,
            seed=int(rng.integers(2**31)),
        )
        self.network.train()
        freeze(self.network, plan.frozen)
        torch.manual_seed(plan.seed * 100_003 + number)
        losses, right = 0.0, 0.0
        progress = tqdm(batches, desc=f"epoch {number + 1}/{plan.epochs}, {size} px", disable=None, leave=False)
        for step, (views, targets) in enumerate(progress):
            done = (number + step / len(batches)) / plan.epochs
            value, hit = self._step(views, targets, done)
            losses, right = losses + value, right + hit
            progress.set_postfix(loss=f"{losses / (step + 1):.3f}", accuracy=f"{right / (step + 1):.3f}")
        steps = len(batches)
        return Epoch(
            number,
            size,
            losses / steps,
            right / steps,
            self.optimiser.param_groups[-1]["lr"],
            time.monotonic() - started,
            steps * plan.batch,
            self._judge(size),
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
        self.optimiser.step()
        if self.average:
            self.average.update_parameters(self.network)
        return value, accuracy(logits, targets)

    def _judge(self, size: int) -> dict[str, float]:
        if self.validation is None:
            return {}
        vectors = extract(self.result, self.validation.pixels, size, self.device)
        judged = judge(Labelled(vectors, self.validation.targets))
        return {
            "recall_at_1": float(np.nanmean(judged.recall_at(1))),
            "map_at_r": float(np.nanmean(judged.map_at_r)),
        }

    def _remember_best(self) -> None:
        found = self.epochs[-1].validation.get("map_at_r", math.inf)
        if found > self.best["map_at_r"] or self.validation is None:
            weights = {name: tensor.detach().cpu().clone() for name, tensor in self.result.state_dict().items()}
            self.best = {"map_at_r": found, "epoch": self.epochs[-1].number, "weights": weights}

    def _state(self) -> dict[str, Any]:
        return {
            "plan": json.dumps(self.plan.as_dict()),
            "classes": self.photos.classes,
            "epoch": len(self.epochs),
            "epochs": [vars(epoch) for epoch in self.epochs],
            "best": self.best,
            "network": self.network.state_dict(),
            "loss": self.loss.state_dict(),
            "average": self.average.state_dict() if self.average else None,
            "optimiser": self.optimiser.state_dict(),
        }

    def _resume(self) -> None:
        state = checkpoint.load(self.folder)
        if state is None:
            return
        for what, mine in (("plan", json.dumps(self.plan.as_dict())), ("classes", self.photos.classes)):
            if state[what] != mine:
                raise TrainingError(f"{self.folder} holds a run with another {what}; choose another folder.")
        self.network.load_state_dict(state["network"])
        self.loss.load_state_dict(state["loss"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.average:
            self.average.load_state_dict(state["average"])
        self.epochs = [Epoch(**fields) for fields in state["epochs"]]
        self.best = state["best"]


def normalised(views: Tensor) -> Tensor:
    """uint8[N, S, S, 3] -> float32[N, 3, S, S] as ImageNet networks expect it."""
    mean, std = (torch.tensor(values, device=views.device) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return ((views.float() - mean) / std).permute(0, 3, 1, 2)


def _loss(plan: Plan, classes: int, dim: int) -> nn.Module:
    if plan.loss == "proxy":
        return ProxyLoss(classes, dim, temperature=plan.temperature, smoothing=plan.smoothing)
    return ClassifierLoss(classes, dim, smoothing=plan.smoothing)


def _moving_average(decay: float) -> Any:
    return get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
