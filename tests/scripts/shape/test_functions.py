"""Which names count, which are prescribed by a framework, and how long functions are."""

from __future__ import annotations

import importlib

import pytest

from scripts.shape.classes import Inheritance
from scripts.shape.figures import measure, percentile
from scripts.shape.functions import list_chosen, list_functions
from scripts.shape.hooks import HOOKS

from .trees import make_module, make_tree

HTTP_METHODS = {"get", "post", "put", "patch", "delete", "head"}
CONVENTIONS = {"get_absolute_url"}  # looked up by name, without a method on the base class


class TestNames:
    @pytest.mark.parametrize(
        ("name", "is_one_word"),
        [("load", True), ("_load", True), ("load_", True), ("load_rows", False), ("_load_rows", False)],
    )
    def test_an_underscore_inside_makes_two_words(self, name: str, is_one_word: bool) -> None:
        (function,) = list_functions([make_module(f"def {name}(): ...")])
        assert function.is_one_word is is_one_word

    def test_counts_methods_properties_and_inner_functions_but_no_dunders(self) -> None:
        text = """
class Shop:
    def __init__(self): ...
    @property
    def owner(self): ...
    async def open(self):
        def inner(): ...
"""
        chosen = list_chosen(list_functions([make_module(text)]))
        assert {function.qualified for function in chosen} == {"Shop.owner", "Shop.open", "inner"}

    def test_a_hook_is_one_on_a_class_of_its_framework_only(self) -> None:
        text = """
from django.core.management.base import BaseCommand
class Command(BaseCommand):
    def handle(self): ...
    def work(self): ...
class Other:
    def handle(self): ...
def handle(): ...
"""
        chosen = list_chosen(list_functions([make_module(text)]))
        assert {function.qualified for function in chosen} == {"Command.work", "Other.handle", "handle"}

    def test_follows_base_classes_through_modules_packages_and_other_names(self) -> None:
        modules = [
            make_module("from torch import nn\nclass Layer(nn.Module): ...", "net/layers.py"),
            make_module("from .layers import Layer as Base", "net/__init__.py"),
            make_module("import net\nclass Deep(net.Base, dict[str, int]):\n    def forward(self): ...", "net/deep.py"),
        ]
        assert Inheritance(modules).outside_bases("net.deep.Deep") == {"torch.nn.Module", "net.deep.dict"}
        assert list_chosen(list_functions(modules)) == []

    def test_gunicorn_calls_functions_of_its_configuration(self) -> None:
        text = "def post_fork(arbiter, worker): ...\ndef freeze(): ..."
        chosen = list_chosen(list_functions([make_module(text, "site/gunicorn.py")]))
        assert [function.name for function in chosen] == ["freeze"]

    @pytest.mark.parametrize("base", HOOKS)
    def test_every_hook_is_a_method_that_its_framework_knows(self, base: str) -> None:
        module, _, name = base.rpartition(".")
        known = {*dir(getattr(importlib.import_module(module), name)), *CONVENTIONS}
        if "dispatch" in known:  # a view may answer each of these, or refuse it
            known |= HTTP_METHODS
        assert [hook for hook in HOOKS[base].split() if "*" not in hook and hook not in known] == []


class TestLengths:
    def test_a_function_goes_from_def_to_its_last_line(self) -> None:
        text = '@cache\ndef load():\n    """Say what."""\n\n    return (\n        1\n    )\n\n\nx = 1\n'
        (function,) = list_functions([make_module(text)])
        assert function.length == 6

    def test_percentile_is_one_of_the_values(self) -> None:
        assert percentile(range(1, 11), 0.9) == 10
        assert percentile([], 0.9) == 0

    def test_empty_files_are_no_modules(self) -> None:
        figures = measure(make_tree({"shop/__init__": "", "shop/a": "x = 1\n"}), [])
        assert figures.module_lengths == [1]
