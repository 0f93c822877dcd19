"""An evaluation as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .comparison import Comparison
from .evaluate import Evaluation
from .figures import MAIN, NAMES, TITLES
from .summary import Means
from .text_table import align_columns
from .wording import describe_pictures, describe_reliability, explain_left_out_pictures, macro_caption, micro_caption

MOST_MISTAKES = 10


def format_evaluation(result: Evaluation | Comparison) -> str:
    """Everything an evaluation says, as lines."""
    evaluation = result.model if isinstance(result, Comparison) else result
    micro = {name: summary.micro for name, summary in result.table_columns.items()}
    macro = {name: summary.macro for name, summary in result.table_columns.items() if summary.macro}
    parts = [
        [describe_pictures(evaluation)],
        _format_averages(micro_caption(evaluation.summary), micro),
        _format_averages(macro_caption(evaluation.summary), macro) if macro else [],
        [result.verdict] if isinstance(result, Comparison) else [],
        [describe_reliability(evaluation.reliability)] if evaluation.reliability else [],
        _format_class_table(evaluation),
        list(_format_mistakes(evaluation)),
        list(explain_left_out_pictures(evaluation)),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _format_averages(caption: str, columns: Mapping[str, Means]) -> list[str]:
    rows = [["", *columns]]
    for name, title in zip(NAMES, TITLES, strict=True):
        rows.append([title, *(str(means[name]) for means in columns.values())])
    return [caption, *align_columns(rows)]


def _format_class_table(evaluation: Evaluation) -> list[str]:
    """Each class, worst first, and beside its mAP@R that of every other model and of the floor."""
    beside = evaluation.summaries_beside
    rows = [["class", "n", "R@1", "P@10", "mAP@R", *beside]]
    for name, means in evaluation.summary.worst_classes_first():
        recall, precision = means["recall_at_1"].mean, means["precision_at_10"].mean
        others = (f"{summary.per_class[name][MAIN].mean:.3f}" for summary in beside.values())
        rows.append([name, str(means.n), f"{recall:.3f}", f"{precision:.3f}", str(means[MAIN]), *others])
    return align_columns(rows)


def _format_mistakes(evaluation: Evaluation) -> Iterator[str]:
    for name, taken_for, count in evaluation.confusion.list_most_frequent_mistakes(MOST_MISTAKES):
        yield f"{name} is taken for {taken_for} {count} times of {evaluation.summary.per_class[name].n}"
