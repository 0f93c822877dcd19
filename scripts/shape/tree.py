"""The Python files that git tracks, parsed once for everything that is counted."""

from __future__ import annotations

import ast
import io
import subprocess
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

NOT_SOURCE = {"tests", "benchmarks", "scripts"}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Module:
    # From the root of the repository and with slashes on every system, because that is how git names it.
    path: str
    text: str

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def room(self) -> str:
        """The folder at the top, or the file itself where it lies beside the folders."""
        return self.path.partition("/")[0]

    @property
    def is_package(self) -> bool:
        return self.path.rpartition("/")[2] == "__init__.py"

    @property
    def name(self) -> str:
        """As it is imported: `ml/images/__init__.py` is `ml.images`."""
        path = PurePosixPath(self.path)
        return ".".join(path.parent.parts if self.is_package else path.with_suffix("").parts)

    @property
    def is_source(self) -> bool:
        return self.room not in NOT_SOURCE

    @property
    def is_migration(self) -> bool:
        return "migrations" in PurePosixPath(self.folder).parts

    @cached_property
    def syntax(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.syntax))

    @cached_property
    def tokens(self) -> list[tokenize.TokenInfo]:
        return list(tokenize.generate_tokens(io.StringIO(self.text).readline))

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def docstring_lines(self) -> set[int]:
        return {line for node in self.nodes for line in lines_of_docstring(node)}


def lines_of_docstring(node: ast.AST) -> range:
    if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
        return range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)
    return range(0)


def read_modules(root: Path, paths: Iterable[str]) -> list[Module]:
    """Files that git still lists but somebody has just deleted are left out."""
    present = sorted(path for path in paths if (root / path).is_file())
    return [Module(path, (root / path).read_text(encoding="utf-8")) for path in present]


def list_tracked(root: Path) -> list[str]:
    listed = _ask_git(root, "ls-files", "-z", "--", "*.py")
    return [path for path in listed.split("\0") if path]


def find_root(start: Path) -> Path:
    return Path(_ask_git(start, "rev-parse", "--show-toplevel").strip())


def _ask_git(folder: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, encoding="utf-8").stdout  # noqa: S603
