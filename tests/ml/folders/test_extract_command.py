"""A folder of pictures becomes a folder of vectors: the same bytes whether or not it was stopped on the way."""

import csv
import json

import numpy as np
import pytest

from ml.__main__ import main
from ml.folders import folder_extraction
from ml.folders.extraction import extract_vectors
from ml.folders.folder_extraction import embed_folder_to_disk, list_pictures
from ml.folders.vector_folder import VectorFolder, VectorFolderError
from tests.ml.pictures import encode, scene


@pytest.fixture
def source(tmp_path):
    """Nine pictures in two folders, and two files that are none."""
    for number in range(9):
        path = tmp_path / "in" / ("sub" if number % 2 else ".") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(scene(number, (60, 80)), "PNG"))
    (tmp_path / "in" / "table.csv").write_text("no picture, and not called one")
    (tmp_path / "in" / "cut.jpg").write_bytes(encode(scene(1), "JPEG")[:2000])
    return tmp_path / "in"


@pytest.fixture
def target(tmp_path):
    return tmp_path / "out"


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    monkeypatch.setattr(folder_extraction, "SHARD_PICTURES", 3)


class Stopping:
    """The embedder of a run that is stopped at its n-th batch."""

    def __init__(self, embedder, batches):
        self._embedder, self._left = embedder, batches
        self.version, self.dim, self.size, self.recipe = embedder.version, embedder.dim, embedder.size, embedder.recipe
        self.prepare = embedder.prepare

    def embed(self, batch):
        if not self._left:
            raise KeyboardInterrupt
        self._left -= 1
        return self._embedder.embed(batch)


def run(source, target, embedder):
    pictures, refused = list_pictures(source)
    return embed_folder_to_disk(source, pictures, target, embedder, refused)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_command_writes_vectors_ids_refusals_and_a_manifest(source, target, model_dir, embedder, capsys):
    assert main(["extract", str(source), str(target), "--model", str(model_dir)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{target}: 9 vectors of 1000 dimensions by model untrained; 10 pictures embedded now.",
        f"1 file gave no vector; see {target}/refused.csv",
    ]
    assert set(contents(target)) == {"vectors.npy", "ids.csv", "refused.csv", "extract.json"}
    ids = rows(target / "ids.csv")
    assert [row["path"] for row in ids] == [
        *(f"{n}.png" for n in (0, 2, 4, 6, 8)),
        *(f"sub/{n}.png" for n in (1, 3, 5, 7)),
    ]
    assert [row["id"] for row in ids] == list("024681357")
    vectors = np.load(target / "vectors.npy")
    assert vectors.dtype == np.float16
    np.testing.assert_allclose(np.linalg.norm(vectors.astype(np.float32), axis=1), 1, atol=1e-3)
    expected = extract_vectors([source / row["path"] for row in ids], embedder).vectors
    np.testing.assert_allclose(vectors, expected, atol=2e-3)
    assert [row["file"] for row in rows(target / "refused.csv")] == ["cut.jpg"]
    manifest = json.loads((target / "extract.json").read_text())
    assert (manifest["model"], manifest["sha256"]) == ("untrained", embedder.recipe["sha256"])
    assert (manifest["n"], manifest["dim"], manifest["size"], manifest["refused"]) == (9, 1000, 224, 1)


def test_a_stopped_run_keeps_its_finished_parts_and_ends_in_the_same_bytes(source, target, embedder, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(source, target, Stopping(embedder, 2))
    with pytest.raises(VectorFolderError, match=r"extract\.json is missing"):
        VectorFolder.open(target)
    shards = sorted((target / "shards").iterdir())
    assert len(shards) == 2
    shards[0].write_bytes(shards[0].read_bytes()[:100])  # a disk that lost the end of a file
    assert run(source, target, embedder).embedded == 10 - 3
    run(source, tmp_path / "fresh", embedder)
    assert contents(target) == contents(tmp_path / "fresh")


def test_shards_of_every_run_are_removed_and_nothing_else(source, target, embedder):
    with pytest.raises(KeyboardInterrupt):
        run(source, target, Stopping(embedder, 2))
    for path in source.rglob("*.*"):
        path.touch()  # so that the next run has other shards
    (target / "shards" / f".{'0' * 64}.npz.part").touch()
    (target / "shards" / "mine.npz").write_text("of another program")
    run(source, target, embedder)
    assert [path.name for path in (target / "shards").iterdir()] == ["mine.npz"]


def test_what_did_not_change_is_not_embedded_again(source, target, embedder):
    run(source, target, embedder)
    before = contents(target)
    done = run(source, target, Stopping(embedder, 0))
    assert (done.embedded, done.changed) == (0, False)
    assert contents(target) == before


def test_a_picture_that_changed_or_came_is_seen(source, target, embedder, tmp_path):
    run(source, target, embedder)
    (source / "0.png").write_bytes(encode(scene(77, (60, 80)), "PNG"))
    (source / "new").write_bytes(encode(scene(78, (60, 80)), "PNG"))  # a picture by its content only
    assert run(source, target, embedder).manifest.n == 10
    run(source, tmp_path / "fresh", embedder)
    assert contents(target) == contents(tmp_path / "fresh")


def test_a_run_that_is_killed_while_it_replaces_files_leaves_an_incomplete_folder(
    source, target, embedder, monkeypatch
):
    run(source, target, embedder)
    (source / "0.png").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(folder_extraction, "write_picture_list", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(source, target, embedder)
    with pytest.raises(VectorFolderError, match=r"extract\.json is missing"):
        VectorFolder.open(target)
    done = run(source, target, Stopping(embedder, 0))
    assert (done.manifest.n, done.embedded, done.changed) == (8, 0, True)


def test_a_table_chooses_pictures_gives_labels_and_orders_rows(source, target, model_dir):
    (source / "table.csv").write_text("image,label\nsub/3.png,Mug\n0.png,Chair\ncut.jpg,Mug\nsub/3.png,Mug\n")
    arguments = ["extract", str(source), str(target), "--csv", str(source / "table.csv"), "--model", str(model_dir)]
    assert main(arguments) == 0
    assert [tuple(row.values()) for row in rows(target / "ids.csv")] == [
        ("3", "sub/3.png", "Mug"),
        ("0", "0.png", "Chair"),
        ("3", "sub/3.png", "Mug"),
    ]
    assert [row["file"] for row in rows(target / "refused.csv")] == ["cut.jpg"]


def test_folders_that_give_no_vectors_are_named_in_one_sentence(source, target, embedder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(VectorFolderError, match=r"empty holds no pictures\.$"):
        run(tmp_path / "empty", target, embedder)
    (tmp_path / "empty" / "a.jpg").write_bytes(b"none")
    with pytest.raises(VectorFolderError, match=r"^None of the pictures in .*empty can be used; see .*refused\.csv\.$"):
        run(tmp_path / "empty", target, embedder)
    assert rows(target / "refused.csv") == [{"file": "a.jpg", "reason": "The file is not a photo."}]
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(VectorFolderError, match=r"file cannot be written: .*\.$"):
        run(source, tmp_path / "file", embedder)


def test_a_folder_that_is_not_there_is_told_before_a_model_is_loaded(tmp_path, capsys):
    assert main(["extract", str(tmp_path / "none"), str(tmp_path / "out"), "--model", "no such model"]) == 1
    assert capsys.readouterr().err == f"extract: {tmp_path}/none is not a folder.\n"


def test_a_table_with_a_lost_quote_is_told_in_one_sentence(source, target, capsys):
    table = source / "table.csv"
    table.write_text('image,label\n0.png,"Mug\n' + "2.png,Mug\n" * 15_000)
    assert main(["extract", str(source), str(target), "--csv", str(table), "--model", "no such model"]) == 1
    assert capsys.readouterr().err.startswith(f"extract: {table}, line 2: not readable as CSV, up to line ")
