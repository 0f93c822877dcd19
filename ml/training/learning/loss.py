"""What a recipe minimises: two classifiers over the training classes, and what teachers say with many classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from pytorch_metric_learning.losses import NormalizedSoftmaxLoss
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from ml.training.data.batches import Batch
from ml.training.data.label_sets import UNLABELLED
from ml.training.plan import Plan

from .neighbours import NeighbourLoss

Outcome = tuple[Tensor, float]  # the loss, float32[], and the share of labelled pictures whose class was right, 0 to 1


class ProxyLoss(nn.Module):
    """Normalised softmax: cross-entropy over the cosines to one learned proxy of each class (Zhai & Wu, BMVC 2019)."""

    def __init__(self, classes: int, dim: int, *, temperature: float, smoothing: float) -> None:
        super().__init__()
        self.loss = NormalizedSoftmaxLoss(classes, dim, temperature)
        self.smoothing = smoothing

    def class_logits(self, vectors: Tensor) -> Tensor:
        """Return the cosines of float32[N, dim] to the proxies over the temperature: float32[N, classes]."""
        return cast("Tensor", self.loss.get_logits(vectors))

    def forward(self, vectors: Tensor, batch: Batch) -> Outcome:
        """Compare float32[N, dim] with the first label set of a batch."""
        logits = self.class_logits(normalize(vectors))
        return _compare_with_targets(logits, batch.targets[:, 0], self.smoothing)


class ClassifierLoss(nn.Module):
    """Cross-entropy of a linear classifier over the vectors: the baseline."""

    def __init__(self, classes: int, dim: int, *, smoothing: float) -> None:
        super().__init__()
        self.classifier = nn.Linear(dim, classes)
        self.smoothing = smoothing

    def forward(self, vectors: Tensor, batch: Batch) -> Outcome:
        """Compare float32[N, dim] with the first label set of a batch."""
        return _compare_with_targets(self.classifier(vectors), batch.targets[:, 0], self.smoothing)


class DistillationLoss(nn.Module):
    """What teachers say of a view, and what label sets say of its picture.

    Three things are learned of teachers: each vector, turned by a linear layer towards theirs (cosine), how like each
    two pictures of a batch are (relational: Tung & Mori, ICCV 2019), and which of earlier pictures are most like each
    (see `NeighbourLoss`). Each label set has a normalised softmax of its own.
    """

    def __init__(self, plan: Plan, class_counts: Sequence[int], dim: int, taught_dim: int) -> None:
        super().__init__()
        self.plan = plan
        self.turn = nn.Linear(dim, taught_dim)
        self.neighbours = NeighbourLoss(dim, taught_dim)
        self.heads = nn.ModuleList(
            ProxyLoss(classes, dim, temperature=plan.temperature, smoothing=plan.smoothing) for classes in class_counts
        )

    def forward(self, vectors: Tensor, batch: Batch) -> Outcome:
        """Compare float32[N, dim] with what teachers and labels say.

        Raises:
            ValueError: nobody teaches this batch.
        """
        if batch.taught is None:
            raise ValueError("Distillation needs what teachers say of each view.")
        loss = vectors.new_zeros(())
        asked = batch.taught.any(dim=1)
        if asked.any():
            loss = self._compare_with_teachers(vectors[asked], batch.taught[asked]) * asked.float().mean()
        right, labelled = 0.0, 0
        for column, head in enumerate(self.heads):
            known = batch.targets[:, column] != UNLABELLED
            count = int(known.sum())
            if count:
                logits = cast("ProxyLoss", head).class_logits(normalize(vectors[known]))
                each, share = _compare_with_targets(logits, batch.targets[known, column], self.plan.smoothing)
                loss = loss + self.plan.label_weight * each * count / len(known)
                right, labelled = right + share * count, labelled + count
        return loss, right / max(1, labelled)

    def _compare_with_teachers(self, vectors: Tensor, taught: Tensor) -> Tensor:
        cosine = 1 - (normalize(self.turn(vectors)) * taught).sum(1).mean()
        own = normalize(vectors)
        differences = (own @ own.T - taught @ taught.T).square()
        # A picture is like itself by definition, so the diagonal says nothing.
        relational = differences.sum() / max(1, len(own) * (len(own) - 1))
        neighbours = self.neighbours(vectors, taught)
        return (
            self.plan.cosine_weight * cosine
            + self.plan.relational_weight * relational
            + self.plan.neighbour_weight * neighbours
        )


def _compare_with_targets(logits: Tensor, targets: Tensor, smoothing: float) -> Outcome:
    """Return the cross-entropy of float32[N, classes] against int64[N], and the share that is right."""
    loss = cross_entropy(logits, targets, label_smoothing=smoothing)
    return loss, float((logits.detach().argmax(dim=1) == targets).float().mean())


def make_loss(plan: Plan, class_counts: Sequence[int], dim: int, taught_dim: int = 0) -> nn.Module:
    """Return the loss that `plan` names; its first weights are drawn from torch's generator."""
    if plan.loss == "distillation":
        return DistillationLoss(plan, class_counts, dim, taught_dim)
    if plan.loss == "proxy":
        return ProxyLoss(class_counts[0], dim, temperature=plan.temperature, smoothing=plan.smoothing)
    return ClassifierLoss(class_counts[0], dim, smoothing=plan.smoothing)
