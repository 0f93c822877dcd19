"""Two models on the same pictures: the difference of their figures, query by query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ml.folders.extraction import PictureEmbedder
from ml.folders.photo_set import PhotoSet

from .evaluate import AT_LEAST, Evaluation, evaluate_models
from .figures import MAIN, measure_figures
from .summary import Means, Summary, summarise_figures


@dataclass(frozen=True)
class Comparison:
    """`model` beside `other`; `difference` is the first minus the second, paired query by query."""

    model: Evaluation
    other: Evaluation
    difference: Summary

    @property
    def table_columns(self) -> dict[str, Summary]:
        """What stands side by side in a table, by its heading."""
        ours, theirs = self.model.summary, self.other.summary
        return {self.model.model: ours, self.other.model: theirs, "difference": self.difference, **self.model.floor}

    @property
    def verdict(self) -> str:
        """Which of the two finds better, or that these pictures cannot tell."""
        means, average = self._macro_or_micro_means()
        found, ours, theirs = means[MAIN], self.model.model, self.other.model
        figures = f"{found.mean:+.3f} (95 % interval {found.low:+.3f} to {found.high:+.3f})"
        if not self.is_distinguishable:
            return f"{ours} and {theirs} cannot be told apart on these pictures: {average} mAP@R differs by {figures}."
        better, worse = (ours, theirs) if found.mean > 0 else (theirs, ours)
        return f"{better} finds better than {worse}: {average} mAP@R of {ours} minus that of {theirs} is {figures}."

    @property
    def is_distinguishable(self) -> bool:
        """Whether zero is outside the interval of the difference in mAP@R."""
        found = self._macro_or_micro_means()[0][MAIN]
        return not found.low <= 0 <= found.high

    def as_dict(self) -> dict[str, Any]:
        """The model's own evaluation, with the other's and the difference beside it."""
        difference = {
            "distinguishable": self.is_distinguishable,
            "sentence": self.verdict,
            **self.difference.as_dict(),
        }
        return {**self.model.as_dict(), "compared_with": self.other.as_dict(), "difference": difference}

    def _macro_or_micro_means(self) -> tuple[Means, str]:
        macro = self.difference.macro
        return (self.difference.micro, "micro") if macro is None else (macro, "macro")


def compare_models(
    queries: PhotoSet,
    embedders: Mapping[str, PictureEmbedder],
    *,
    gallery: PhotoSet | None = None,
    at_least: int = AT_LEAST,
) -> Comparison:
    """Judge the first of two named embedders beside the second, on the pictures that both could take."""
    model, other = evaluate_models(queries, embedders, gallery=gallery, at_least=at_least)
    difference = measure_figures(model.judged) - measure_figures(other.judged)
    return Comparison(
        model, other, summarise_figures(difference, model.judged.targets, model.pictures.classes, at_least)
    )
