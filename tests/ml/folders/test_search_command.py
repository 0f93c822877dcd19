"""A picture finds its likes in an extracted folder, exactly, and shows them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ml.__main__ import main
from ml.commands.search import format_table
from ml.folders import vector_folder
from ml.folders.contact_sheet import Answer, SheetError, draw_sheet, write_sheet
from ml.folders.folder_extraction import embed_folder_to_disk
from ml.folders.folder_search import QueryPictureError, search_folder
from ml.folders.vector_folder import Hit, Manifest, Picture, VectorFolder, VectorFolderError
from tests.ml.pictures import GREEN, RED, assert_corners, encode, quarters, scene

MANIFEST = Manifest("m", "f" * 64, 8, 224, 0, 0, "pictures", "made of")


@pytest.fixture(scope="module")
def extracted(tmp_path_factory, embedder):
    """Six drawn pictures, labelled, and their vectors."""
    folder = tmp_path_factory.mktemp("search")
    (folder / "in").mkdir()
    for number in range(6):
        (folder / "in" / f"{number}.png").write_bytes(encode(scene(number, (90, 120)), "PNG"))
    pictures = [Picture(str(number), f"{number}.png", "ab"[number % 2]) for number in range(6)]
    embed_folder_to_disk(folder / "in", pictures, folder / "out", embedder)
    return folder


@pytest.fixture
def search(extracted, model_dir, capsys):
    def search(*arguments, folder=extracted / "out", status=0):
        image = str(extracted / "in" / "3.png")
        command = ["search", image, "--in", str(folder), "--model", str(model_dir), *map(str, arguments)]
        assert main(command) == status
        return capsys.readouterr()

    return search


def slow_search(vectors, query, k):
    """Row by row, in float64; equal similarities in the order of the rows."""
    similarity = [sum(float(a) * float(b) for a, b in zip(row, query, strict=True)) for row in vectors]
    return sorted(range(len(vectors)), key=lambda row: (-similarity[row], row))[:k]


@given(st.integers(0, 25), st.integers(1, 12), st.integers(0, 1000))
def test_search_is_exact_over_chunks_and_ties(n, k, seed):
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-2, 3, (n, 8)).astype(np.float16)  # whole numbers: every sum is exact, many are equal
    query = rng.integers(-2, 3, 8).astype(np.float32)
    folder = VectorFolder(MANIFEST, vectors, [Picture(str(row), f"{row}.png") for row in range(n)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vector_folder, "CHUNK_ROWS", 7)
        hits = folder.search(query, k)
    assert [int(hit.picture.id) for hit in hits] == slow_search(vectors, query, k)
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))


def test_a_picture_finds_itself_first_in_a_table_and_on_a_sheet(search, tmp_path):
    found = search("--k", "4", "--sheet", tmp_path / "sheet.png")
    lines = found.out.splitlines()
    assert lines[0] == "rank  similarity  label  path"
    assert lines[1].split() == ["1", "1.0000", "b", "3.png"]
    assert [line.split()[0] for line in lines[1:]] == ["1", "2", "3", "4"]
    assert found.err.splitlines()[-1] == f"Contact sheet: {tmp_path}/sheet.png"
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert (sheet.format, sheet.width > 1000) == ("PNG", True)


def test_json_holds_the_same_for_programs(search, extracted):
    found = json.loads(search("--json").out)
    assert (found["query"], found["model"]) == (str(extracted / "in" / "3.png"), "untrained")
    assert found["results"][0] | {"similarity": 1} == {
        "rank": 1,
        "similarity": 1,
        "id": "3",
        "path": "3.png",
        "label": "b",
    }
    similarities = [result["similarity"] for result in found["results"]]
    assert len(similarities) == 6
    assert similarities == sorted(similarities, reverse=True)


def test_tiles_hold_the_pictures_in_the_order_of_their_ranks(tmp_path):
    for name, colour in (("red.png", RED), ("green.png", GREEN)):
        Image.new("RGB", (30, 20), colour).save(tmp_path / name)
    (tmp_path / "query.png").write_bytes(encode(quarters(), "PNG"))
    answers = [Answer(tmp_path / name, rank, 0.5) for rank, name in enumerate(("red.png", "green.png", "gone.png"), 1)]
    sheet = draw_sheet(tmp_path / "query.png", answers, "three")
    middles = [sheet.getpixel((sheet.width - 40 - 110 - 240 * place, 40 + 110)) for place in (2, 1)]
    assert middles == [RED, GREEN]
    assert_corners(sheet.crop((50, 155, 470, 365)))


def test_names_of_several_lines_are_written_in_one(tmp_path):
    query = tmp_path / "a\nb.png"
    query.write_bytes(encode(quarters(), "PNG"))
    assert draw_sheet(query, [Answer(query, 1, 1.0, "two\nlines")], "one").width > 700


def test_bytes_of_a_name_that_are_no_text_are_printed_as_escapes():
    name = b"caf\xe9.png".decode(errors="surrogateescape")
    assert format_table([Hit(1, 1.0, Picture("1", name))]).splitlines()[1].endswith("caf\\udce9.png")


def test_vectors_of_another_model_are_not_compared(extracted, embedder):
    folder = VectorFolder.open(extracted / "out")
    for change in ({"sha256": "0" * 64}, {"size": 96}, {"dim": 8}):
        other = VectorFolder(replace(folder.manifest, model="other", **change), folder.vectors, folder.pictures)
        with pytest.raises(
            VectorFolderError, match=r"^The vectors were made by model other \(sha256 .*extract again\.$"
        ):
            search_folder(other, extracted / "in" / "3.png", embedder, 1)


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("extract.json", None, "extract.json is missing: nothing was extracted to"),
        ("extract.json", b"{}", "extract.json cannot be read"),
        ("extract.json", b"\xff", "extract.json cannot be read"),
        ("vectors.npy", None, "vectors.npy cannot be read"),
        ("vectors.npy", b"\x93NUMPY", "vectors.npy cannot be read"),
        ("vectors.npy", b"", "vectors.npy cannot be read"),
        ("ids.csv", None, "ids.csv cannot be read"),
        (
            "ids.csv",
            b"id,path,label\n0,0.png,a\n",
            "is damaged: vectors.npy is float16[6, 1000] and ids.csv has 1 rows",
        ),
        ("ids.csv", b"id,place\n0,0.png\n", "ids.csv cannot be read"),
    ],
)
def test_a_damaged_folder_is_named_in_one_sentence(search, extracted, tmp_path, name, data, sentence):
    for path in (extracted / "out").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / name).unlink()
    if data is not None:
        (tmp_path / name).write_bytes(data)
    found = search(folder=tmp_path, status=1).err
    assert sentence in found
    assert found.startswith(f"search: {tmp_path}")
    assert found.count("\n") == 1


def test_a_query_that_is_no_picture_is_named_in_one_sentence(extracted, embedder, tmp_path):
    (tmp_path / "text.jpg").write_text("text")
    for name, sentence in {
        "none.jpg": " cannot be read: No such file",
        "text.jpg": ": The file is not a photo.",
    }.items():
        with pytest.raises(QueryPictureError, match=f"^{tmp_path / name}{sentence}"):
            search_folder(VectorFolder.open(extracted / "out"), tmp_path / name, embedder, 1)


def test_a_sheet_that_cannot_be_written_is_named(extracted, tmp_path):
    answers = [Answer(extracted / "in" / "3.png", 1, 1.0)]
    with pytest.raises(SheetError, match=r"sheet\.png cannot be written: No such file or directory\.$"):
        write_sheet(tmp_path / "none" / "sheet.png", extracted / "in" / "3.png", answers, "one")
