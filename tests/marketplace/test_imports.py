"""Web and task modules load no inference library: those come after the fork, where they are used."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
URLS = sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in ROOT.glob("[a-z]*/**/urls.py"))
TASKS = sorted(f"workers.{path.stem}" for path in (ROOT / "workers").glob("*.py") if path.stem != "__init__")
WATCH = """
import importlib, sys
for module in sys.argv[1:]:
    importlib.import_module(module)
    print(module, *sorted({"torch", "torchvision", "faiss", "openvino"} & set(sys.modules)))
"""


def loaded_after(*modules: str) -> dict[str, list[str]]:
    """The inference libraries in memory after each import, in one fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *modules],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "marketplace.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {module: libraries for module, *libraries in (line.split() for line in done.stdout.splitlines())}


def test_every_urls_and_every_task_module_is_looked_at():
    assert {"marketplace.urls", "listings.api.urls", "recommender.api.urls", "listings.web.urls"} <= set(URLS)
    assert {"workers.embedding", "workers.indexing", "workers.maintenance"} <= set(TASKS)


def test_importing_the_site_or_its_tasks_loads_no_inference_library():
    modules = ["marketplace.wsgi", "marketplace.celery", *URLS, *TASKS]
    assert loaded_after(*modules) == {module: [] for module in modules}


def test_the_look_notices_a_library_that_is_loaded():
    assert loaded_after("json", "faiss") == {"json": [], "faiss": ["faiss"]}
