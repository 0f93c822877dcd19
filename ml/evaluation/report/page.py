"""The page: figures first, then confusions, pictures and the table of classes."""

from __future__ import annotations

from collections.abc import Mapping

from ml.evaluation.bootstrap import RESAMPLES
from ml.evaluation.comparison import Comparison
from ml.evaluation.evaluate import Evaluation
from ml.evaluation.figures import MAIN, NAMES, TITLES
from ml.evaluation.summary import Means
from ml.evaluation.wording import (
    describe_pictures,
    describe_reliability,
    explain_left_out_pictures,
    macro_caption,
    micro_caption,
)

from .heat_map import MOST_CLASSES, draw_heat_map
from .reliability import draw_reliability_diagram
from .rendering import render_template
from .strips import choose_hits, choose_misses, make_strip
from .worst_classes import list_worst_classes


def render_page(result: Evaluation | Comparison) -> str:
    """One HTML document with its styles and pictures inside, about 2 MB at most, whatever was evaluated."""
    evaluation = result.model if isinstance(result, Comparison) else result
    chosen = {"Worst misses": choose_misses(evaluation), "Hits": choose_hits(evaluation)}
    return render_template(
        "page.html",
        title=f"How well {evaluation.model} finds",
        about=describe_pictures(evaluation),
        verdict=result.verdict if isinstance(result, Comparison) else "",
        averages=_average_tables(result),
        figures=list(zip(NAMES, TITLES, strict=True)),
        main_figure=MAIN,
        resamples=RESAMPLES,
        classes=len(evaluation.summary.per_class),
        most_in_heat_map=MOST_CLASSES,
        heat_map=draw_heat_map(evaluation.confusion),
        reliability=draw_reliability_diagram(evaluation.reliability) if evaluation.reliability else "",
        said_of_reliability=describe_reliability(evaluation.reliability) if evaluation.reliability else "",
        pictures=[
            (heading, [make_strip(evaluation, query) for query in queries.tolist()])
            for heading, queries in chosen.items()
        ],
        rows=list_worst_classes(evaluation.summary, evaluation.summaries_beside),
        beside=list(evaluation.summaries_beside),
        left_out=list(explain_left_out_pictures(evaluation)),
    )


def _average_tables(result: Evaluation | Comparison) -> list[tuple[str, Mapping[str, Means]]]:
    """The caption and the columns of each table of averages; macro first, where a class is large enough for it."""
    summary = result.model.summary if isinstance(result, Comparison) else result.summary
    micro = {name: column.micro for name, column in result.table_columns.items()}
    macro = {name: column.macro for name, column in result.table_columns.items() if column.macro}
    tables: list[tuple[str, Mapping[str, Means]]] = [(macro_caption(summary), macro)] if macro else []
    return [*tables, (micro_caption(summary), micro)]
