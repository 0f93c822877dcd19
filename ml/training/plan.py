"""How a network is trained: everything that can be chosen, with the recipes as ready-made choices."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from typing import Literal

from .data.augmentation import Augmentation

# The order is the one in which pixels pass the layers, because a recipe freezes the first few.
LAYERS = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc")


@dataclass(frozen=True)
class Plan:
    """What is chosen for one training run.

    On a processor two runs with equal plans, data and threads give equal weights, unless `minutes` end them.

    Attributes:
        loss: `proxy` is the normalised softmax.
        lr: the rate of the head, after warm-up.
        trunk_lr: the rate of the other layers, as a multiple of `lr`.
        sizes: until which part of the run pictures have which side, in pixels.
        warm_up: the part of the run in which rates rise.
        ema: what a step keeps of the average of the weights; 0 averages nothing.
        clip: the largest norm of the gradient.
        smoothing: the probability that is shared among all classes in place of the right one.
        balance: 0 shows classes as often as the data does, 1 all equally often.
        patience: epochs without a better mAP@R before the run ends.
        minutes: of training; where they are set they end the run and pace its rates, not `epochs`.
        l2_sp: decay towards the starting weights in place of zero (see `forgetting`).
        keep: the share of the starting weights in the result (see `forgetting`).
        head: layers that learn at the full rate.
        thaw: the part of the run after which frozen layers learn too, from the next epoch on; 1 is never.
        teachers: whom `distillation` learns from, by their words or by the names and contents of their files.
        untaught: label sets that tell kinds finer than teachers do: of their pictures no teacher is asked.
        views: how many views of each picture teachers are asked for; each is shown again after so many epochs.
        label_weight: of the label sets' losses, beside what teachers say.
        cosine_weight, relational_weight, neighbour_weight: of what is learned of teachers (see `DistillationLoss`).
    """

    recipe: str
    loss: Literal["proxy", "classifier", "distillation"]
    optimiser: Literal["sgd", "adam"]
    pooling: str
    lr: float
    trunk_lr: float
    epochs: int = 20
    batch: int = 128
    sizes: tuple[tuple[float, int], ...] = ((1.0, 224),)
    frozen: tuple[str, ...] = ()
    warm_up: float = 0.1
    weight_decay: float = 5e-4
    ema: float = 0.998
    clip: float = 5.0
    smoothing: float = 0.1
    temperature: float = 0.0625  # cosines are divided by it: from -1 to 1 they are too close for clear probabilities
    balance: float = 0.5
    augmentation: Augmentation = field(default_factory=Augmentation)
    patience: int = 10
    seed: int = 1
    minutes: float = 0
    ema_warm_up: bool = False  # without it, a short run is judged by an average that is mostly its first weights
    l2_sp: float = 0
    keep: float = 0
    head: tuple[str, ...] = ("fc",)
    thaw: float = 1.0
    teachers: tuple[str, ...] = ()
    untaught: tuple[str, ...] = ()
    views: int = 4
    label_weight: float = 1.0
    cosine_weight: float = 4.0
    relational_weight: float = 20.0
    neighbour_weight: float = 1.0

    def elapsed_fraction(self, epochs: float, seconds: float) -> float:
        """Return the part of the run that is over after so many epochs, and so many seconds of training; 1 is all."""
        return seconds / (60 * self.minutes) if self.minutes else epochs / self.epochs

    def size_at(self, part: float) -> int:
        """Return the side of the pictures, in pixels, when `part` of the run is over."""
        return next((size for until, size in self.sizes if part < until), self.sizes[-1][1])

    def as_dict(self) -> dict[str, object]:
        """Return the plan as JSON holds it: tuples have become lists."""
        return json.loads(json.dumps(asdict(self)))

    def differing_fields(self, other: Mapping[str, object]) -> list[str]:
        """Return the names of the fields that `other`, a plan as JSON holds it, has otherwise.

        A plan of an older version does not name every field; those it does not name have their defaults.
        """
        defaults = {each.name: each.default for each in fields(self) if each.default is not MISSING}
        mine, theirs = self.as_dict(), json.loads(json.dumps(defaults)) | dict(other)
        if isinstance(changes := theirs.get("augmentation"), Mapping):
            theirs["augmentation"] = json.loads(json.dumps(asdict(Augmentation()))) | dict(changes)
        return sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))


METRIC = Plan("metric", loss="proxy", optimiser="sgd", pooling="gem", lr=0.1, trunk_lr=0.1)
CLASSIFY = Plan(
    "classify",
    loss="classifier",
    optimiser="adam",
    pooling="average",
    lr=1e-3,
    trunk_lr=1.0,
    frozen=LAYERS[:5],
    ema=0,
    smoothing=0,
    balance=0,
    warm_up=0,
)
DISTIL = Plan(
    "distil",
    loss="distillation",
    optimiser="adam",
    pooling="gem",
    lr=1e-3,
    trunk_lr=0.1,
    head=("layer4", "fc"),
    balance=0,
    # With few classes a low temperature is content before pictures of a class lie close together.
    temperature=0.125,
    smoothing=0.05,
    # The teachers see each picture upright and in the light it was taken in: what they say holds in any.
    augmentation=Augmentation(brightness=0.45, contrast=0.4, turn=0.15),
)
# As a recipe METRIC fine-tunes, so it holds on to the starting weights; unchanged it is for training from nothing.
RECIPES = {plan.recipe: plan for plan in (replace(METRIC, ema_warm_up=True, l2_sp=0.1, keep=0.7), CLASSIFY, DISTIL)}
