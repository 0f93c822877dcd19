"""Comments, `Any`, ignored types, and private names read from outside."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterable

from .tree import Module

# What is written for a tool and not for a reader. A reason behind it is left, and makes it a comment after all.
DIRECTIVE = re.compile(
    r"#\s*(!.*|noqa(:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*)?|type:\s*ignore(\[[^]]*\])?|(fmt|mypy|pragma|ruff):.*)"
)
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
# Public in spite of the underscore, because named tuples and Django's models have no others.
PUBLIC = {"_asdict", "_fields", "_make", "_meta", "_replace"}


def comments_of(module: Module) -> list[tuple[int, str]]:
    """Each with its line."""
    found = [(token.start[0], token.string) for token in module.tokens if token.type == tokenize.COMMENT]
    return [(line, text) for line, text in found if says_something(text)]


def says_something(comment: str) -> bool:
    return bool(re.search(r"\w", DIRECTIVE.sub("", comment)))


def code_lines_of(module: Module) -> set[int]:
    """Neither blank, nor in a docstring, nor a comment alone."""
    lines = {
        line
        for token in module.tokens
        if token.type not in NO_CODE
        for line in range(token.start[0], token.end[0] + 1)
        if module.lines[line - 1].strip()
    }
    return lines - module.docstring_lines


def count_filled(modules: Iterable[Module]) -> int:
    """Lines that are not blank."""
    return sum(bool(line.strip()) for module in modules for line in module.lines)


def count_any(module: Module) -> int:
    """Imports of it included."""
    return sum(token.type == tokenize.NAME and token.string == "Any" for token in module.tokens)


def count_ignored(module: Module) -> int:
    return sum(token.type == tokenize.COMMENT and "type: ignore" in token.string for token in module.tokens)


def private_accesses(module: Module) -> list[tuple[int, str]]:
    """`other._name`, with its line; an object's own names, and dunders, are left out."""
    return [
        (node.lineno, ast.unparse(node).splitlines()[0])
        for node in module.nodes
        if isinstance(node, ast.Attribute)
        and is_private(node.attr)
        and not (isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"})
    ]


def private_words(module: Module) -> list[tuple[int, str]]:
    """Private names that are imported, or handed over as text to be patched."""
    found: list[tuple[int, str]] = []
    for node in module.nodes:
        if isinstance(node, ast.ImportFrom):
            found += [(node.lineno, alias.name) for alias in node.names if is_private(alias.name)]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            found += [(node.lineno, word) for word in _words_patched(node) if is_private(word.rpartition(".")[2])]
    return found


def _words_patched(call: ast.Call) -> list[str]:
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in {"setattr", "delattr", "object", "patch"}:
        return []
    return [word.value for word in call.args if isinstance(word, ast.Constant) and isinstance(word.value, str)]


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC and name != "_"
