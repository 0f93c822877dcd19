"""What a recipe minimises. Both losses are classifiers over the training classes, and differ in what they compare."""

from __future__ import annotations

from typing import cast

import torch
from pytorch_metric_learning.losses import NormalizedSoftmaxLoss
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ml.training.plan import Plan


class ProxyLoss(nn.Module):
    """Normalised softmax: cross-entropy over the cosines to one learned proxy of each class (Zhai & Wu, BMVC 2019)."""

    def __init__(self, classes: int, dim: int, *, temperature: float, smoothing: float) -> None:
        super().__init__()
        self.loss = NormalizedSoftmaxLoss(classes, dim, temperature)
        self.smoothing = smoothing

    def class_logits(self, vectors: Tensor) -> Tensor:
        """Return the cosines of float32[N, dim] to the proxies over the temperature: float32[N, classes]."""
        return cast("Tensor", self.loss.get_logits(vectors))

    def forward(self, vectors: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean loss, float32[], and the logits, float32[N, classes], of float32[N, dim] against int64[N]."""
        logits = self.class_logits(nn.functional.normalize(vectors))
        return cross_entropy(logits, targets, label_smoothing=self.smoothing), logits


class ClassifierLoss(nn.Module):
    """Cross-entropy of a linear classifier over the vectors: the baseline."""

    def __init__(self, classes: int, dim: int, *, smoothing: float) -> None:
        super().__init__()
        self.classifier = nn.Linear(dim, classes)
        self.smoothing = smoothing

    def forward(self, vectors: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean loss, float32[], and the logits, float32[N, classes], of float32[N, dim] against int64[N]."""
        logits = cast("Tensor", self.classifier(vectors))
        return cross_entropy(logits, targets, label_smoothing=self.smoothing), logits


def compute_accuracy(logits: Tensor, targets: Tensor) -> float:
    """Return the share of float32[N, classes] whose largest value is at int64[N]: the accuracy, 0 to 1."""
    with torch.no_grad():
        return float((logits.argmax(dim=1) == targets).float().mean())


def make_loss(plan: Plan, classes: int, dim: int) -> nn.Module:
    """Return the loss that `plan` names; its first weights are drawn from torch's generator."""
    if plan.loss == "proxy":
        return ProxyLoss(classes, dim, temperature=plan.temperature, smoothing=plan.smoothing)
    return ClassifierLoss(classes, dim, smoothing=plan.smoothing)
