"""Documents name files that exist: whoever follows them finds what they tell of."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / ".github").glob("*.md"), *(ROOT / "docs").rglob("*.md")]
FOLDERS = ("listings/", "marketplace/", "ml/", "recommender/", "workers/", "tests/", "benchmarks/", "docs/", "scripts/")
SUFFIXES = (".py", ".md", ".toml", ".yml")
MADE_LATER = {"docs/decisions/NNNN-name.md"}


def named_paths(text):
    """What stands in backquotes and looks like a file or folder of the project."""
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    for quoted in re.findall(r"`([^`\n]+)`", prose):
        word = quoted.split()[0].partition("::")[0]
        if re.fullmatch(r"[\w./*-]+", word) and (word.startswith(FOLDERS) or word.endswith(SUFFIXES)):
            yield word


def named_modules(text):
    """What stands in backquotes and looks like a module of the project: `recommender.feed`."""
    packages = "|".join(folder.strip("/") for folder in FOLDERS)
    return re.findall(rf"`((?:{packages})(?:\.[a-z_]+)+)`", text)


def is_module(name):
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()


def linked_paths(text):
    return [
        link for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if "://" not in link and not link.startswith("/")
    ]


def test_what_looks_like_a_path_is_told_from_what_does_not():
    text = "`ml/cores.py`, `tests/x.py::test_it`, `docs/*.md`, `make dev`, `/api/docs/`, `ml`\n```\n`ml/no.py`\n```\n"
    assert list(named_paths(text)) == ["ml/cores.py", "tests/x.py", "docs/*.md"]
    assert list(named_modules("`recommender.feed`, `ml`, `python -m ml.starter`")) == ["recommender.feed"]
    assert linked_paths("[a](docs/a.md) [b](https://x.y/z) [c](#d) [e](e.md#f)") == ["docs/a.md", "e.md"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_a_document_names_exists(document):
    text = document.read_text()
    missing = {path for path in named_paths(text) if not (any(ROOT.glob(path.rstrip("/"))) or path in MADE_LATER)}
    missing |= {name for name in named_modules(text) if not is_module(name)}
    missing |= {link for link in linked_paths(text) if not (document.parent / link).exists()}
    assert missing == set()


def test_every_name_that_the_glossary_gives_to_a_word_is_in_the_file_beside_it():
    rows = re.findall(r"^\| (.+?) \| (.+) \| `(.+?)` \|$", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    assert len(rows) > 40
    quoted = [(name, file) for word, meaning, file in rows for name in re.findall(r"`(\w+)`", word + meaning)]
    files = {file: (ROOT / file).read_text() for _, file in quoted if (ROOT / file).exists()}
    assert [(name, file) for name, file in quoted if not re.search(rf"\b{name}\b", files.get(file, ""))] == []
