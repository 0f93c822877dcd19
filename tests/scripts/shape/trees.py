"""Trees small enough to count by hand."""

from __future__ import annotations

from scripts.shape.tree import Module


def make_module(text: str, path: str = "shop/goods.py") -> Module:
    return Module(path, text)


def make_tree(files: dict[str, str]) -> list[Module]:
    """The names are paths without their endings."""
    return [Module(f"{path}.py", text) for path, text in files.items()]
