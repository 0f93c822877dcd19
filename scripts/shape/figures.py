"""The figures of a part of the code, beside one another in a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from .functions import Function, list_chosen
from .text import code_lines_of, comments_of, count_any, count_filled, count_ignored
from .tree import Module

LENGTHS = ("median", "p90", "max")
HEADINGS = ("lines", "modules", *LENGTHS, "functions", *LENGTHS, "one-word%", "comments%", "Any/1000", "ignores")


@dataclass(frozen=True)
class Figures:
    """`one_word` in percent of the names that are chosen, `comments` of the lines with code; `any_uses` in 1,000 lines
    that are not blank."""

    lines: int
    module_lengths: list[int]
    function_lengths: list[int]
    one_word: float
    comments: float
    any_uses: float
    ignored: int

    @property
    def function_p90(self) -> int:
        return percentile(self.function_lengths, 0.9)

    def as_cells(self) -> list[str]:
        rates = [f"{self.one_word:.1f}", f"{self.comments:.2f}", f"{self.any_uses:.1f}"]
        lengths = [*_describe(self.module_lengths), *_describe(self.function_lengths)]
        return [str(self.lines), *lengths, *rates, str(self.ignored)]


def measure(modules: Sequence[Module], functions: Iterable[Function]) -> Figures:
    """`functions` of other modules are left out."""
    inside = set(modules)
    functions = [function for function in functions if function.module in inside]
    chosen = list_chosen(functions)
    code = sum(len(code_lines_of(module)) for module in modules)
    return Figures(
        lines=sum(len(module.lines) for module in modules),
        module_lengths=[len(module.lines) for module in modules if module.text.strip()],
        function_lengths=[function.length for function in functions],
        one_word=share(100 * sum(function.is_one_word for function in chosen), len(chosen)),
        comments=share(100 * sum(len(comments_of(module)) for module in modules), code),
        any_uses=share(1000 * sum(map(count_any, modules)), count_filled(modules)),
        ignored=sum(map(count_ignored, modules)),
    )


def share(part: float, whole: int) -> float:
    return part / whole if whole else 0.0


def percentile(values: Iterable[int], part: float) -> int:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0


def _describe(lengths: list[int]) -> list[str]:
    middle = f"{median(lengths):g}" if lengths else "0"
    return [str(len(lengths)), middle, str(percentile(lengths, 0.9)), str(max(lengths, default=0))]


def draw_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    table = [headings, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(headings))]
    return "\n".join(_draw_row(row, widths) for row in table)


def _draw_row(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = zip(row, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)])
