"""Comments, code, `Any` and private names."""

from __future__ import annotations

import pytest

from scripts.shape.text import code_lines_of, comments_of, count_any, private_accesses, private_words

from .trees import make_module


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
