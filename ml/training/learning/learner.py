"""What learns in a run: a network and its loss, changed a step at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ml.network.resnet import normalise_pixels
from ml.training.checkpoint import Checkpoint
from ml.training.data.batches import Batch
from ml.training.errors import TrainingError
from ml.training.plan import Plan
from ml.training.precision import autocast

from .forgetting import add_l2_sp_gradient, interpolate_weights
from .loss import make_loss
from .optimisation import freeze_layers, make_average_update, make_optimiser
from .schedule import Schedule


class Learner:
    """A network, the loss it is trained with, and what changes the weights of both.

    `start` holds the starting weights that are worth keeping (see `forgetting`), by their names in the network.
    """

    def __init__(
        self,
        plan: Plan,
        network: nn.Module,
        class_counts: Sequence[int],
        dim: int,
        start: Mapping[str, Tensor],
        taught_dim: int = 0,
    ) -> None:
        self.plan = plan
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(plan.seed)  # the loss draws its weights from torch's generator, and a run must repeat
        # Convolutions on processors are faster where the channels of a pixel lie beside one another in memory.
        self.network = network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.start = {name: tensor.detach().clone().to(self.device) for name, tensor in start.items()}
        self.loss = make_loss(plan, class_counts, dim, taught_dim).to(self.device)
        if plan.thaw >= 1:
            freeze_layers(self.network, plan.frozen)  # before the optimiser, which takes what will ever learn
        self.average = (
            AveragedModel(self.network, multi_avg_fn=make_average_update(plan.ema, plan.ema_warm_up), use_buffers=True)
            if plan.ema
            else None
        )
        self.optimiser = make_optimiser(self.network, self.loss, plan, self.start if plan.l2_sp else ())
        self.schedule = Schedule(self.optimiser, plan.warm_up)

    @property
    def result(self) -> nn.Module:
        """The network whose vectors are used: averaged over steps, and mixed with the start, as the plan says."""
        trained = self.average.module if self.average else self.network
        return interpolate_weights(trained, self.start, self.plan.keep) if self.plan.keep else trained

    def begin_epoch(self, number: int, part: float) -> None:
        """Put the layers that learn into training mode, and what torch draws at random where this epoch begins.

        `part` of the run is over.
        """
        self.network.train()
        freeze_layers(self.network, self.plan.frozen, thawed=part >= self.plan.thaw)
        torch.manual_seed(self.plan.seed * 100_003 + number)

    def take_step(self, batch: Batch, part: float) -> tuple[float, float]:
        """Learn from a batch when `part` of the run is over.

        Return the mean loss and the share of pictures whose class was right.

        Raises:
            TrainingError: the loss is not finite.
        """
        self.schedule.set_rates(part)
        batch = batch.to(self.device)
        with autocast(self.device):
            vectors = self.network(normalise_pixels(batch.views))
        # The loss is computed in float32: bfloat16 has two or three digits, too few for cosines over a low temperature.
        loss, accuracy = self.loss(vectors.float(), batch)
        value = float(loss.item())
        if not math.isfinite(value):
            raise TrainingError(f"The loss became {value} at {part:.0%} of the run; train with a lower rate.")
        self._update_weights(loss)
        return value, accuracy

    def _update_weights(self, loss: Tensor) -> None:
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), self.plan.clip)
        # The pull to the starting weights is added after clipping, so that a large gradient does not weaken it.
        if self.plan.l2_sp:
            add_l2_sp_gradient(self.network, self.start, self.plan.l2_sp)
        self.optimiser.step()
        if self.average:
            self.average.update_parameters(self.network)

    def load_state(self, saved: Checkpoint) -> None:
        """Take up what a checkpoint says that was learned.

        Raises:
            RuntimeError, ValueError, TypeError, LookupError: it is of another network, loss or optimiser.
        """
        self.network.load_state_dict(saved.network)
        self.loss.load_state_dict(saved.loss)
        self.optimiser.load_state_dict(saved.optimiser)
        if self.average:
            self.average.load_state_dict(saved.average or {})
