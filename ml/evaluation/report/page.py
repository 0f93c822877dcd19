"""The page: figures first, then confusions, pictures and the table of classes."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path

from ml.evaluation.bootstrap import RESAMPLES
from ml.evaluation.comparison import Comparison
from ml.evaluation.evaluate import Evaluation
from ml.evaluation.wording import about, left_out, macro_caption, micro_caption

from .heat_map import MOST_CLASSES, heat_map
from .strips import hits, misses, strip
from .tables import MOST_ROWS, averages, per_class

STYLE = Path(__file__).with_name("report.css")
MEANING = (
    f"Below each mean its 95 % interval: percentile bootstrap over queries, {RESAMPLES} resamples; for means over "
    "classes within each class. R@k: share of queries with a right picture among the first k. P@k: right share of the "
    "first k. mAP@R: precision at each right one of the first R results, summed and divided by R, where R pictures are "
    "there to be found. Histogram: colours of the four quarters. Chance: expectation of a random order."
)
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(result: Evaluation | Comparison) -> str:
    """One HTML document with its styles and pictures inside, about 2 MB at most, whatever was evaluated."""
    evaluation = result.model if isinstance(result, Comparison) else result
    title = escape(f"How well {evaluation.model} finds")
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            f"<title>{title}</title><style>{STYLE.read_text(encoding='utf-8')}</style></head><body>",
            f"<h1>{title}</h1><p>{escape(about(evaluation))}</p>",
            *_figures(result),
            *_confusion(evaluation),
            *_strips(evaluation),
            *_classes(evaluation),
            *_left_out(evaluation),
            "</body></html>\n",
        ]
    )


def _figures(result: Evaluation | Comparison) -> Iterable[str]:
    evaluation = result.model if isinstance(result, Comparison) else result
    if isinstance(result, Comparison):
        yield f'<p class="verdict">{escape(result.sentence)}</p>'
    micro = {name: summary.micro for name, summary in result.columns.items()}
    macro = {name: summary.macro for name, summary in result.columns.items() if summary.macro}
    tables = [averages(macro_caption(evaluation.summary), macro)] if macro else []
    tables.append(averages(micro_caption(evaluation.summary), micro))
    yield f'<div class="beside">{"".join(tables)}</div>'
    yield f'<p class="faint">{MEANING}</p>'


def _classes(evaluation: Evaluation) -> Iterable[str]:
    yield "<h2>Classes, worst mAP@R first</h2>"
    count = len(evaluation.summary.per_class)
    left_away = f" The {MOST_ROWS} worst of {count} classes." if count > MOST_ROWS else ""
    yield f'<p class="faint">Bars go from 0 to 1; thin line: 95 % interval; red line: histogram.{left_away}</p>'
    yield per_class(evaluation.summary, evaluation.floor["histogram"])


def _confusion(evaluation: Evaluation) -> Iterable[str]:
    count = len(evaluation.summary.per_class)
    shown = f"the {MOST_CLASSES} most confused of {count} classes" if count > MOST_CLASSES else "all classes"
    yield "<h2>What is taken for what</h2>"
    yield (
        f'<p class="faint">Row: class searched with. Column: class of the first result. Darker: a larger share of the '
        f"row. Shown: {shown}.</p>"
    )
    yield f'<div class="scroll">{heat_map(evaluation.confusion)}</div>'


def _strips(evaluation: Evaluation) -> Iterable[str]:
    for heading, queries in (("Worst misses", misses(evaluation)), ("Hits", hits(evaluation))):
        if len(queries):
            yield f'<h2>{heading}</h2><p class="faint">Left: the query. Then what it found, the most similar first.</p>'
            yield from (strip(evaluation, query) for query in queries.tolist())


def _left_out(evaluation: Evaluation) -> Iterable[str]:
    lines = list(left_out(evaluation))
    if lines:
        yield "<h2>Left out</h2>"
        yield from (f"<p>{escape(line)}</p>" for line in lines)
