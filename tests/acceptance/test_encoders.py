"""Networks that others trained, from their file to answers and back, on a running site.

Two real ones where they are there, else the starter's graph as a file: a file of `shared/data/teacher`, and
EfficientNet-Lite2 of requirements-encoders.txt. 200 photos in `make test`, the whole catalogue in `make soak`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.acceptance import catalogue
from tests.acceptance.catalogue import SHARED, unsettled
from tests.acceptance.conftest import copy
from tests.factories import draw_photo
from tests.ml.inference.encoder_graphs import write_colour_network
from tests.servers.stack import UNTHROTTLED, Stack, StackFailed

FULL = bool(os.environ.get("SOAK"))
PRODUCTS = 168  # of the clothing catalogue, which have 200 photos
DRAWN = 60
TEACHER = SHARED.parent / "teacher" / "mobilenet_v2_1.0_224_quant.tflite"
PACKAGE = "efficientnet-lite2"


@pytest.fixture(scope="module")
def site(short_tmp: Path, prepared_var: Path) -> Iterator[Stack]:
    """A site with a catalogue, embedded by the starter model."""
    with Stack(copy(prepared_var, short_tmp), environ=UNTHROTTLED) as stack:
        stack.run(*_choose_catalogue(short_tmp), timeout=600)
        stack.wait_for(lambda: unsettled(stack) == 0, "every photo is embedded", timeout=1800 if FULL else 180)
        yield stack


def _choose_catalogue(scratch: Path) -> tuple[str, ...]:
    folder = scratch / "encoded"
    if not SHARED.is_dir():
        catalogue.draw(folder, DRAWN)
        return catalogue.arguments(folder)
    files = [SHARED / "Products.csv", SHARED / "Images.csv"]
    if not FULL:
        folder.mkdir()
        files = list(catalogue.write_head(SHARED, folder, PRODUCTS))
    return ("manage.py", "import_catalogue", *map(str, files), "--images", str(SHARED / "images"))


@pytest.fixture(params=["file", "package"])
def encoder(request: pytest.FixtureRequest, site: Stack) -> tuple[str, ...]:
    """How it is named to `models register`."""
    if request.param == "file" and TEACHER.exists():
        return ("--encoder", str(TEACHER), "--licence", "Apache-2.0", "--source", "google-coral/test_data")
    if request.param == "package" and find_spec("efficientnet_lite_pytorch"):
        return ("--encoder", PACKAGE)
    # The starter's own graph: a network in a file, of which nothing else is known.
    return ("--encoder", str(site.var / "models" / "starter" / "embedder.xml"))


def test_an_encoder_answers_and_goes_again(
    site: Stack, encoder: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    version = request.node.callspec.id
    assert f"{version} is registered: encoder, " in site.manage("models", "register", *encoder, "--version", version)
    site.manage("models", "backfill", version, "--wait", timeout=3600 if FULL else 300)
    site.manage("models", "activate", version)
    visitor = site.visitor()
    listing = visitor.get("/api/v1/listings/").expect(200).json()["results"][0]["id"]

    def answer() -> dict:
        return visitor.get(f"/api/v1/listings/{listing}/similar/").expect(200).json()

    def search() -> dict:
        return visitor.post("/api/v1/search/image/", files=[("image", "a.jpg", draw_photo(5))]).json()

    site.wait_for(lambda: answer()["model"] == version, "it answers")
    assert len(answer()["results"]) == 20
    site.wait_for(lambda: search().get("model") == version, "photos are searched with by it")
    registered = {model["version"]: model for model in json.loads(site.manage("models", "list", "--json"))}[version]
    assert registered["progress"]["done"] == registered["progress"]["photos"] > 100
    assert registered["licence"] == ("Apache-2.0" if "--licence" in encoder else "")
    site.manage("models", "rollback")
    site.wait_for(lambda: answer()["model"] == "starter", "the model before answers again")
    site.manage("models", "retire", version)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--encoder", "missing.onnx"], "There is no encoder 'missing.onnx'"),
        (["--encoder", "{notes}"], "is no graph that OpenVINO reads"),
        (["--encoder", "{network}", "--size", "9999"], "it must be from 8 to 1024"),
        (["--encoder", "{network}", "--mean", "124,116,104"], "is not three numbers from 0 to 1"),
        (["--encoder", "{network}", "--output", "vektor"], "has no output 'vektor'; it has vector"),
        (["--weights", "starter", "--output", "vector"], "--output can be said of an --encoder alone"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(site: Stack, short_tmp: Path, options: list[str], sentence: str) -> None:
    (short_tmp / "notes.onnx").write_text("no network")
    files = {"notes": short_tmp / "notes.onnx", "network": write_colour_network(short_tmp / "right.onnx")}
    given = [option.format(**files) for option in options]
    with pytest.raises(StackFailed) as failed:
        site.manage("models", "register", *given, "--version", "wrong")
    said = str(failed.value)
    assert sentence in said
    assert "Traceback" not in said
