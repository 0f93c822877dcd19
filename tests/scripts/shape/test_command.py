"""The limits, what is drawn, and the command itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.shape.draw import draw_sample
from scripts.shape.limits import list_breaches
from scripts.shape.survey import Survey
from scripts.shape.tree import list_tracked, read_modules

from .trees import make_tree

ROOT = Path(__file__).resolve().parents[3]


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
    def test_the_project_keeps_to_its_limits(self) -> None:
        assert list(list_breaches(Survey(read_modules(ROOT, list_tracked(ROOT))))) == []

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
