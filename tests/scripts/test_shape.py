"""What `make shape` counts, on trees small enough to count by hand, and that it finds the project's own files."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.shape.classes import Inheritance, find_repeated_classes
from scripts.shape.draw import draw_sample
from scripts.shape.figures import measure, percentile
from scripts.shape.folders import list_entries
from scripts.shape.functions import list_chosen, list_functions
from scripts.shape.hooks import HOOKS
from scripts.shape.imports import find_circles, find_forbidden, find_sibling_circles, list_arrows
from scripts.shape.limits import list_breaches
from scripts.shape.survey import Survey
from scripts.shape.text import code_lines_of, comments_of, count_any, private_accesses, private_words
from scripts.shape.tree import Module, read_modules

ROOT = Path(__file__).resolve().parents[2]
HTTP_METHODS = {"get", "post", "put", "patch", "delete", "head"}
CONVENTIONS = {"get_absolute_url"}  # looked up by name, without a method on the base class


def make_module(text: str, path: str = "shop/goods.py") -> Module:
    return Module(path, text)


def make_tree(files: dict[str, str]) -> list[Module]:
    """The names are paths without their endings."""
    return [Module(f"{path}.py", text) for path, text in files.items()]


class TestReading:
    def test_leaves_out_what_was_deleted_and_not_yet_committed(self, tmp_path: Path) -> None:
        (tmp_path / "kept.py").write_text("x = 1\n")
        assert [module.path for module in read_modules(tmp_path, ["kept.py", "gone.py"])] == ["kept.py"]

    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("manage.py", "manage"),
            ("ml/images/__init__.py", "ml.images"),
            ("ml/images/header.py", "ml.images.header"),
        ],
    )
    def test_names_a_module_as_it_is_imported(self, path: str, name: str) -> None:
        assert make_module("", path).name == name


class TestFolders:
    def test_counts_modules_and_folders_with_code_side_by_side(self) -> None:
        paths = ["a/one.py", "a/two.py", "a/b/three.py", "a/b/c/four.py", "manage.py"]
        entries = list_entries(make_module("", path) for path in paths)
        assert entries == {
            ".": {"a", "manage.py"},
            "a": {"one.py", "two.py", "b"},
            "a/b": {"three.py", "c"},
            "a/b/c": {"four.py"},
        }

    def test_does_not_count_init_files_and_migrations(self) -> None:
        paths = ["a/__init__.py", "a/one.py", "a/migrations/0001_initial.py", "b/__init__.py"]
        assert list_entries(make_module("", path) for path in paths) == {".": {"a", "b"}, "a": {"one.py"}}


class TestImports:
    def test_finds_a_circle_through_relative_and_guarded_imports(self) -> None:
        guarded = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from shop.a import Thing\n"
        arrows = list_arrows(make_tree({"shop/a": "from . import b", "shop/b": "from .c import x", "shop/c": guarded}))
        assert find_circles(arrows) == [["shop.a", "shop.b", "shop.c"]]

    def test_tells_imports_inside_functions_apart(self) -> None:
        late = "def load():\n    from shop import a\n"
        arrows = list_arrows(make_tree({"shop/a": "import shop.b", "shop/b": late}))
        assert [(arrow.importer.name, arrow.line, arrow.target, arrow.is_late) for arrow in arrows] == [
            ("shop.a", 1, "shop.b", False),
            ("shop.b", 2, "shop.a", True),
        ]

    def test_an_import_of_a_name_goes_to_the_package_that_has_it(self) -> None:
        tree = make_tree({"shop/__init__": "from .a import open_shop", "shop/a": "from shop import NAME"})
        assert find_circles(list_arrows(tree)) == [["shop", "shop.a"]]

    def test_a_line_of_modules_is_no_circle(self) -> None:
        arrows = list_arrows(make_tree({"shop/a": "from . import b, c", "shop/b": "from . import c", "shop/c": ""}))
        assert find_circles(arrows) == []

    def test_folders_can_form_a_circle_where_no_modules_do(self) -> None:
        tree = make_tree({"a/one": "import b.one", "b/one": "", "b/two": "import a.two", "a/two": ""})
        assert find_circles(list_arrows(tree)) == []
        assert find_sibling_circles(list_arrows(tree)) == [["a", "b"]]

    def test_finds_arrows_into_what_is_forbidden(self) -> None:
        tree = make_tree(
            {
                "index/view": "from registry.progress import count\nfrom registry_of_shops import x",
                "registry/progress": "import index.view",
                "registry_of_shops": "",
            }
        )
        found = find_forbidden(list_arrows(tree), "index", ["registry"])
        assert [(arrow.importer.name, arrow.target) for arrow in found] == [("index.view", "registry.progress")]


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


class TestText:
    @pytest.mark.parametrize(
        ("line", "counts"),
        [
            ("x = 1  # seconds", True),
            ("# the reason", True),
            ("x = 1  # noqa: S311, F401", False),
            ("x = 1  # noqa: S311 - nothing secret", True),
            ("x = 1  # type: ignore[misc]", False),
            ("x = 1  # type: ignore[misc]  # its stubs are wrong", True),
            ("#!/usr/bin/env python", False),
            ("# pragma: no cover", False),
            ("# ------", False),
            ('x = "# no comment"', False),
        ],
    )
    def test_counts_comments_for_readers(self, line: str, counts: bool) -> None:
        assert len(comments_of(make_module(line + "\n"))) == counts

    def test_code_is_neither_blank_nor_docstring_nor_comment(self) -> None:
        first = '"""Why."""\n\n# a comment\nx = """one\n\ntwo"""\n\n\n'
        second = 'def f():\n    """What."""\n    return [\n        x,  # end\n    ]\n'
        assert code_lines_of(make_module(first + second)) == {4, 6, 9, 11, 12, 13}

    def test_counts_any_as_a_word_of_code(self) -> None:
        text = 'from typing import Any\n# Any\nx: list[Any] = []\ny: "Any"\nAnything = 1\n'
        assert count_any(make_module(text)) == 2

    def test_finds_private_names_of_others(self) -> None:
        text = (
            "self._own\ncls._own\nother._secret\nself.child._secret\nrow._replace(a=1)\nx.__dict__\nfor _ in x: pass\n"
        )
        assert private_accesses(make_module(text)) == [(3, "other._secret"), (4, "self.child._secret")]

    def test_finds_private_names_imported_and_patched(self) -> None:
        text = "from shop import _secret, public\nmonkeypatch.setattr(shop, '_secret', 1)\nprint('_word')\n"
        assert private_words(make_module(text)) == [(1, "_secret"), (2, "_secret")]


class TestClasses:
    def test_finds_a_name_twice_in_one_folder(self) -> None:
        tree = make_tree({"shop/a": "class Row: ...", "shop/b": "class Row: ...", "shop/api/c": "class Row: ..."})
        assert list(find_repeated_classes(tree)) == [("shop", "Row")]
        assert [len(places) for places in find_repeated_classes(tree, by_room=True).values()] == [3]

    def test_lets_django_have_its_names_and_classes_their_inner_ones(self) -> None:
        text = "class Command: ...\nclass {}:\n    class Meta: ...\n"
        tree = make_tree({"shop/a": text.format("A"), "shop/b": text.format("B")})
        assert find_repeated_classes(tree) == {}


class TestLimits:
    def test_says_nothing_of_a_tree_within_them(self) -> None:
        text = "def load_rows():\n    return 1  # because\n"
        assert list(list_breaches(Survey(make_tree({"shop/a": text})))) == []

    def test_has_a_sentence_for_each_breach(self) -> None:
        long_function = "def load():\n" + "    x: Any = 1\n" * 20
        tree = {
            **{f"recommender/index/{number}": "" for number in range(8)},
            "recommender/index/view": "from recommender.registry import a\n",
            "recommender/registry/a": "import recommender.registry.b\nclass Row: ...\n",
            "recommender/registry/b": "import recommender.registry.a\nclass Row: ...\n",
            "shop/long": long_function + "\n" * 300,
            "tests/test_long": "x._y\n" * 41,
        }
        registry = "recommender/registry"
        assert list(list_breaches(Survey(make_tree(tree)))) == [
            "recommender/index/ holds 9 modules and folders side by side; the limit is 8.",
            "These modules import one another in a circle: recommender.registry.a, recommender.registry.b.",
            f"recommender/index/view.py:1 imports {registry.replace('/', '.')}.a, which is not for the index to know.",
            "shop/long.py has 321 lines; the limit is 300.",
            "One function in ten has 21 lines or more; the limit is 20.",
            f"{registry}/ has 2 classes that are called Row: {registry}/a.py:2, {registry}/b.py:2.",
            "100.0 % of the function names are one word; the limit is 35 %.",
            "Comments are 0.00 % of the lines with code; the least is 4 %.",
            "`Any` stands 769.2 times in 1,000 lines; the limit is 8.",
            "Tests read private names of others 41 times; the limit is 40.",
        ]

    def test_tests_and_benchmarks_are_kept_to_the_length_of_modules(self) -> None:
        tree = make_tree({"tests/a": "x = 1\n" * 301, "benchmarks/a": "x = 1\n" * 301, "shop/a": "x = 1  # one\n"})
        assert len(list(list_breaches(Survey(tree)))) == 2


class TestDraw:
    def test_draws_the_same_for_the_same_seed(self) -> None:
        text = "".join(f"def load_{number}():\n    return {number}  # because\n" for number in range(60))
        survey = Survey(make_tree({"shop/a": text}))
        drawn = list(draw_sample(survey, "seed"))
        assert drawn == list(draw_sample(survey, "seed"))
        assert drawn != list(draw_sample(survey, "another"))
        assert len(drawn) == 62


class TestCommand:
    @pytest.fixture
    def shape(self, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
        subprocess.run(["git", "init", "-q", tmp_path], check=True)
        (tmp_path / "shop").mkdir()
        (tmp_path / "shop" / "goods.py").write_text("def load():\n    return 1  # because\n")
        subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)

        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "scripts.shape", *arguments]
            environ = {"PATH": "/usr/bin:/bin:/usr/local/bin", "PYTHONPATH": str(ROOT)}
            return subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)

        return run

    def test_fails_with_a_sentence_where_a_limit_is_passed(
        self, shape: Callable[..., subprocess.CompletedProcess[str]]
    ) -> None:
        done = shape()
        assert done.returncode == 1
        assert done.stdout.endswith("\n100.0 % of the function names are one word; the limit is 35 %.\n")
        assert done.stderr == ""

    def test_reports_without_failing(self, shape: Callable[..., subprocess.CompletedProcess[str]]) -> None:
        done = shape("--report", "--worst", "shop", "--draw", "seed")
        assert done.returncode == 0
        assert "shop: 1 of 1 names are one word (100 %)\n  shop/goods.py:1 load\n" in done.stdout
