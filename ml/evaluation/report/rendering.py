"""The templates beside this module. Whatever they put into a page is escaped, so no class name can be markup."""

from __future__ import annotations

import html
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup


def _escape(value: object) -> Markup:
    """What a template may print; macros and templates inside it are markup already."""
    return value if isinstance(value, Markup) else Markup(html.escape(str(value)))  # noqa: S704


# `finalize` escapes whatever is printed, as Python's `html` does. Autoescape leaves that alone, and stays on because a
# template would print the markup of strangers if `finalize` were ever taken out.
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    finalize=_escape,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def render_template(name: str, **values: object) -> Markup:
    """The template of this name, filled in."""
    return Markup(TEMPLATES.get_template(name).render(values))  # noqa: S704
