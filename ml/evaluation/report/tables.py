"""The figures as tables: averages side by side, and a row with a bar for each class."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from ml.evaluation.bootstrap import Interval
from ml.evaluation.figures import NAMES, TITLES
from ml.evaluation.summary import Means, Summary

MOST_ROWS = 400


def averages(caption: str, columns: Mapping[str, Means]) -> str:
    """A row for each figure, a column for each model and floor."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    rows = [
        f"<tr{_emphasis(name)}><th>{title}</th>{''.join(_figure(means[name]) for means in columns.values())}</tr>"
        for name, title in zip(NAMES, TITLES, strict=True)
    ]
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption><tr><th></th>{head}</tr>'
        f"{''.join(rows)}</table></div>"
    )


def per_class(summary: Summary, floor: Summary) -> str:
    """A row for each class, the worst first, `MOST_ROWS` at most; the red line in a bar is `floor`."""
    worst_first = sorted(summary.per_class.items(), key=lambda item: item[1]["map_at_r"].mean)
    rows = [
        f"<tr><th>{escape(name)}</th><td>{means.n}</td><td>{means['recall_at_1'].mean:.2f}</td>"
        f"<td>{means['map_at_r'].mean:.3f}</td>"
        f'<td class="bar">{_bar(means["map_at_r"], floor.per_class[name]["map_at_r"].mean)}</td></tr>'
        for name, means in worst_first[:MOST_ROWS]
    ]
    return (
        '<div class="scroll"><table class="classes">'
        "<tr><th>class</th><th>n</th><th>R@1</th><th>mAP@R</th><th></th></tr>"
        f"{''.join(rows)}</table></div>"
    )


def _emphasis(name: str) -> str:
    return ' class="main"' if name == "map_at_r" else ""


def _figure(found: Interval) -> str:
    return f"<td>{found.mean:.3f}<small>{found.low:.3f} to {found.high:.3f}</small></td>"


def _bar(found: Interval, floor: float) -> str:
    """A bar of the mean from 0 to 1, a line over the interval, an upright line at the floor."""
    mean, low, high, least = (f"{100 * value:.1f}" for value in (found.mean, found.low, found.high, floor))
    return (
        f'<svg viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="{found}">'
        f'<rect class="mean" y="1" width="{mean}" height="8"/>'
        f'<line class="interval" x1="{low}" x2="{high}" y1="5" y2="5" vector-effect="non-scaling-stroke"/>'
        f'<line class="floor" x1="{least}" x2="{least}" y1="0" y2="10" vector-effect="non-scaling-stroke"/></svg>'
    )
