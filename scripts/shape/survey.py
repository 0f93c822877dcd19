"""Everything that is counted of one tree, each thing once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property

from .figures import Figures, measure
from .functions import Function, list_functions
from .imports import Arrow, list_arrows
from .text import private_accesses, private_words
from .tree import Module

Place = tuple[Module, int, str]


class Survey:
    def __init__(self, modules: Iterable[Module]) -> None:
        self.modules = list(modules)

    @cached_property
    def source(self) -> list[Module]:
        return [module for module in self.modules if module.is_source]

    @cached_property
    def functions(self) -> list[Function]:
        return list_functions(self.modules)

    @cached_property
    def arrows(self) -> list[Arrow]:
        return list_arrows(self.modules)

    @cached_property
    def figures(self) -> Figures:
        return measure(self.source, self.functions)

    def within(self, folder: str) -> list[Module]:
        return [module for module in self.modules if f"{module.path}/".startswith(f"{folder}/")]

    def parts(self) -> dict[str, list[Module]]:
        """What gets a row of its own in the table."""
        rooms = sorted({module.room for module in self.source if module.folder})
        parts = {"source": self.source, "source, benchmarks": [*self.source, *self.within("benchmarks")]}
        for room in (*rooms, "recommender/index", "benchmarks", "scripts", "tests"):
            parts[room] = self.within(room)
        return {name: modules for name, modules in parts.items() if modules}

    @cached_property
    def private_accesses(self) -> list[Place]:
        return self._in_tests(private_accesses)

    @cached_property
    def private_words(self) -> list[Place]:
        return self._in_tests(private_words)

    def _in_tests(self, find: Callable[[Module], list[tuple[int, str]]]) -> list[Place]:
        return [(module, line, what) for module in self.within("tests") for line, what in find(module)]
