"""Folders, imports and classes of one name."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.shape.classes import find_repeated_classes
from scripts.shape.folders import list_entries
from scripts.shape.imports import find_circles, find_forbidden, find_sibling_circles, list_arrows
from scripts.shape.tree import read_modules

from .trees import make_module, make_tree


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


class TestClasses:
    def test_finds_a_name_twice_in_one_folder(self) -> None:
        tree = make_tree({"shop/a": "class Row: ...", "shop/b": "class Row: ...", "shop/api/c": "class Row: ..."})
        assert list(find_repeated_classes(tree)) == [("shop", "Row")]
        assert [len(places) for places in find_repeated_classes(tree, by_room=True).values()] == [3]

    def test_lets_django_have_its_names_and_classes_their_inner_ones(self) -> None:
        text = "class Command: ...\nclass {}:\n    class Meta: ...\n"
        tree = make_tree({"shop/a": text.format("A"), "shop/b": text.format("B")})
        assert find_repeated_classes(tree) == {}
