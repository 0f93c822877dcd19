"""What the terminal and the page say in the same words."""

from __future__ import annotations

from collections.abc import Iterator

from ml.catalogue.counts import describe_count
from ml.inference.calibration.reliability import Reliability

from .evaluate import Evaluation
from .summary import Summary

MOST_REFUSED = 20


def describe_pictures(evaluation: Evaluation) -> str:
    """One sentence: what was searched for where."""
    pictures = evaluation.pictures
    where = "the others" if pictures.gallery is None else f"a gallery of {len(pictures.searched_pictures.photos)}"
    queries = pictures.queries.photos
    pictures_of_classes = (
        f"{describe_count(len(queries), 'picture')} of {describe_count(len(queries.classes), 'class', 'classes')}"
    )
    return f"{pictures_of_classes}, each searched for among {where}."


def micro_caption(summary: Summary) -> str:
    """What the micro averages are means over."""
    return f"Mean over {describe_count(summary.micro.n, 'query', 'queries')} (micro)"


def macro_caption(summary: Summary) -> str:
    """What the macro averages are means over."""
    count = summary.macro.n if summary.macro else 0
    classes = describe_count(count, "class", "classes")
    return f"Mean over {classes} with at least {describe_count(summary.at_least, 'query', 'queries')} (macro)"


def explain_left_out_pictures(evaluation: Evaluation) -> Iterator[str]:
    """Which pictures are in no mean, and why; and which are in a mean that should not be."""
    yield from (one.describe() for one in evaluation.seen)
    if evaluation.unanswerable_queries_by_class:
        counts = evaluation.unanswerable_queries_by_class
        names = ", ".join(f"{name} ({count})" for name, count in counts.items())
        yield f"Pictures that had nothing to find: {sum(counts.values())}. By class: {names}."
    if evaluation.refused_pictures:
        yield f"Pictures that could not be read: {len(evaluation.refused_pictures)}."
        yield from (f"{path}: {reason}" for path, reason in evaluation.refused_pictures[:MOST_REFUSED])
        if len(evaluation.refused_pictures) > MOST_REFUSED:
            yield f"and {len(evaluation.refused_pictures) - MOST_REFUSED} more; --json lists them all."


def describe_reliability(reliability: Reliability) -> str:
    """How far probabilities are off, on how many pairs, and what the curve was fitted on."""
    return (
        f"Probabilities are off by {reliability.error:.3f} (expected calibration error) on {reliability.pairs:,} "
        f"pairs, half of the same class; the curve was fitted on: {reliability.basis}."
    )
