"""A folder of pictures as they come becomes a folder of JPEGs of one size, whatever stops it on the way."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ml.__main__ import main
from ml.cleaning.images import CleanImagesError, choose_picture_names
from tests.ml.pictures import assert_corners, encode, quarters, scene

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


@pytest.fixture
def target(tmp_path):
    return tmp_path / "out"


def add(folder: Path, name: str, data: bytes | None = None) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(quarters(), "PNG") if data is None else data)
    return path


def clean(*arguments) -> int:
    return main(["clean-images", *map(str, arguments)])


def refusal(capsys, *arguments) -> str:
    assert clean(*arguments) == 1
    return capsys.readouterr().err.strip()


def pictures(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.jpg"))}


def unreadable(folder: Path) -> dict[str, str]:
    with (folder / "unreadable.csv").open(newline="") as file:
        return {row["file"]: row["reason"] for row in csv.DictReader(file)}


def test_every_picture_keeps_its_place_and_becomes_a_square_on_black(source, target, capsys):
    add(source, "wide.png", encode(quarters(800, 400), "PNG"))
    add(source, "shop/shelf/tall.webp", encode(quarters(40, 80), "WEBP", lossless=True))
    assert clean(source, target) == 0
    assert capsys.readouterr().out == f"{target}: 2 pictures written, 0 there already.\n"
    assert list(pictures(target)) == ["shop/shelf/tall.jpg", "wide.jpg"]
    wide, tall = Image.open(target / "wide.jpg"), Image.open(target / "shop/shelf/tall.jpg")
    assert wide.size == tall.size == (512, 512)
    assert_corners(wide.crop((0, 128, 512, 384)))
    assert_corners(tall.crop((128, 0, 384, 512)))
    for edge in (wide.crop((0, 0, 512, 120)), tall.crop((0, 0, 120, 512))):
        assert np.asarray(edge).max() < 8
    assert unreadable(target) == {}


def test_a_picture_that_a_camera_turned_is_upright_and_bare(source, target):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Camera"
    turned = quarters(90, 120).transpose(Image.Transpose.ROTATE_90)
    add(source, "phone.jpeg", encode(turned, "JPEG", exif=exif, quality=95))
    assert clean(source, target, "--fit", "shorter-side") == 0
    picture = Image.open(target / "phone.jpg")
    assert picture.size == (90, 120)
    assert_corners(picture)
    assert not picture.getexif()


def test_the_shorter_side_is_scaled_down_never_up_and_stays_encodable(source, target):
    add(source, "large.png", encode(quarters(900, 300), "PNG"))
    add(source, "small.png", encode(quarters(50, 30), "PNG"))
    add(source, "strip.png", encode(Image.new("RGB", (70_000, 64)), "PNG"))
    assert clean(source, target, "--fit", "shorter-side", "--size", "100") == 0
    sizes = {name: Image.open(io.BytesIO(data)).size for name, data in pictures(target).items()}
    assert sizes == {"large.jpg": (300, 100), "small.jpg": (50, 30), "strip.jpg": (65_500, 60)}


def test_each_file_without_a_picture_is_listed_with_its_reason(source, target, tmp_path, capsys):
    add(source, "good.png")
    add(source, "cut.jpg", encode(scene(1), "JPEG")[:2000])
    add(source, "sub/notes.txt", b"no picture")
    add(source, "empty.png", b"")
    add(source, ".hidden.png")
    (source / "out.png").symlink_to(add(tmp_path, "elsewhere.png"))
    (source / "gone.png").symlink_to(source / "nothing")
    (source / "loop").symlink_to(source)
    os.mkfifo(source / "pipe.png")
    pipe = os.open(source / "pipe.png", os.O_RDWR)  # so that whoever opens it fails instead of waiting for ever
    assert clean(source, target) == 0
    os.close(pipe)
    assert list(pictures(target)) == ["good.jpg"]
    reasons = unreadable(target)
    assert list(reasons) == sorted(reasons)
    assert {name: reason.split(".")[0] for name, reason in reasons.items()} == {
        "cut.jpg": "More than half of the photo is missing, as its file was cut off or is damaged",
        "empty.png": "The file is empty",
        "gone.png": "It is a link that leads nowhere",
        "loop": "It is a link to a folder; it was not followed",
        "out.png": "It is a link that leads out of the folder; it was not followed",
        "pipe.png": "It is not a regular file",
        "sub/notes.txt": "The file is not a photo",
    }
    assert f"7 files gave no picture; see {target}/unreadable.csv" in capsys.readouterr().out


def test_pictures_that_would_share_a_name_are_all_kept(source, target):
    for name in ("a.jpg", "a.png", "A.webp", "b.png", "at 12.00.00"):
        add(source, name)
    assert clean(source, target) == 0
    assert list(pictures(target)) == ["A.webp.jpg", "a.jpg", "a.png.jpg", "at 12.00.00.jpg", "b.jpg"]


@given(st.lists(st.from_regex(r"\A(d/)?[aA](\.(jpg|JPG|png|png\.jpg))?\Z"), unique=True, max_size=8))
def test_no_two_pictures_ever_get_one_name(names):
    files = [PurePosixPath(name) for name in names]
    try:
        found = choose_picture_names(files)
    except CleanImagesError:
        return
    assert list(found) == files
    assert len({str(name).casefold() for name in found.values()}) == len(files)
    assert all(name.suffix == ".jpg" and name.parent == file.parent for file, name in found.items())


def test_two_pictures_that_cannot_be_told_apart_are_refused(source, target, capsys):
    for name in ("a.png", "a.webp", "a.png.gif"):
        add(source, name)
    add(source, "a.png.jpg")
    found = refusal(capsys, source, target)
    assert found == "clean-images: a.png and a.png.jpg would become one picture; rename one of them."


def identify_file(path: Path) -> tuple[int, int]:
    """What changes when a file is written anew; its number alone may be that of one that was just deleted."""
    found = path.stat()
    return found.st_ino, found.st_ctime_ns


def test_a_second_run_writes_only_what_is_new_or_changed(source, target, capsys):
    for name in ("same.png", "changed.png", "older.png"):
        add(source, name)
    clean(source, target)
    before = {name: identify_file(target / name) for name in pictures(target)}
    capsys.readouterr()
    add(source, "changed.png", encode(scene(2), "PNG"))
    add(source, "older.png", encode(scene(3), "PNG"))
    os.utime(source / "older.png", (1, 1))  # a copy that kept its time, older than the clean picture
    add(source, "new.png")
    clean(source, target)
    assert capsys.readouterr().out == f"{target}: 3 pictures written, 1 there already.\n"
    after = {name: identify_file(target / name) for name in pictures(target)}
    assert {name for name in after if after[name] == before.get(name)} == {"same.jpg"}
    fresh = target.with_name("fresh")
    clean(source, fresh)
    assert pictures(target) == pictures(fresh)


def test_a_picture_is_of_the_file_that_now_has_its_name(source, target, capsys):
    times = (1_600_000_000, 1_600_000_000)
    for name, colour in (("a.png", "red"), ("a.jpg", "blue")):
        os.utime(add(source, name, encode(Image.new("RGB", (8, 8), colour), name[2:].replace("jpg", "jpeg"))), times)
        clean(source, target)
    red, green, blue = np.asarray(Image.open(target / "a.jpg"))[256, 256].tolist()
    assert blue > 200
    assert max(red, green) < 50
    assert list(pictures(target)) == ["a.jpg", "a.png.jpg"]
    data = encode(Image.new("RGB", (9, 9), "lime"), "PNG")
    os.utime(add(source, "a.jpg", data), times)  # another picture of the same name and time
    capsys.readouterr()
    clean(source, target)
    assert capsys.readouterr().out == f"{target}: 1 picture written, 1 there already.\n"
    assert np.asarray(Image.open(target / "a.jpg"))[256, 256, 1] > 200


def test_what_was_made_of_files_that_are_gone_or_damaged_now_is_removed(source, target, capsys):
    for name in ("kept.png", "gone.png", "damaged.png", "sub/gone.png"):
        add(source, name)
    clean(source, target)
    add(target, "sub/mine.jpg", b"of somebody else")
    (source / "gone.png").unlink()
    (source / "sub/gone.png").unlink()
    add(source, "damaged.png", b"no picture")
    add(source, "mine.png", b"no picture either")
    add(target, "mine.jpg", b"of somebody else")
    capsys.readouterr()
    for removed in (True, False):
        clean(source, target)
        assert ("2 pictures removed: the files they were made of are gone." in capsys.readouterr().out) == removed
        assert list(pictures(target)) == ["kept.jpg", "mine.jpg", "sub/mine.jpg"]


def test_one_folder_may_be_filled_from_several(source, target):
    add(source, "a.png")
    clean(source, target)
    other = source.with_name("other")
    add(other, "b.png")
    clean(other, target)
    moved = source.rename(source.with_name("moved"))
    before = (target / "a.jpg").stat().st_ino
    clean(moved, target)
    assert list(pictures(target)) == ["a.jpg", "b.jpg"]
    assert (target / "a.jpg").stat().st_ino == before


def test_a_list_of_sources_never_leads_out_of_its_folder(source, target, tmp_path):
    add(source, "a.png")
    clean(source, target)
    add(tmp_path, "mine.jpg")
    listed = {name: [str(source), "gone.png", 1] for name in ("../mine.jpg", str(tmp_path / "mine.jpg"))}
    (target / "clean-sources.json").write_text(json.dumps(listed))
    clean(source, target)
    assert (tmp_path / "mine.jpg").exists()


def test_a_killed_run_leaves_whole_pictures_and_goes_on(source, target):
    data = [encode(scene(seed, (600, 800)), "PNG") for seed in range(4)]
    for number in range(60):
        add(source, f"{number:02}.png", data[number % 4])
    command = [sys.executable, "-m", "ml", "clean-images", str(source), str(target), "--jobs", "1"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(target.glob("*.jpg"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    kept = {name: (target / name).stat().st_ino for name in pictures(target)}
    assert 5 <= len(kept) < 60
    assert clean(source, target) == 0
    assert {name: (target / name).stat().st_ino for name in kept} == kept
    fresh = target.with_name("fresh")
    assert clean(source, fresh, "--jobs", "3") == 0
    assert pictures(target) == pictures(fresh)
    assert len(pictures(fresh)) == 60


def test_a_folder_of_other_settings_is_not_mixed(source, target, capsys):
    add(source, "a.png")
    clean(source, target)
    found = refusal(capsys, source, target, "--size", "256")
    assert found.endswith("{'size': 512, 'fit': 'letterbox'}; choose another folder.")
    (target / "clean-images.json").write_text("{")
    assert "clean-images.json cannot be read" in refusal(capsys, source, target)
    (target / "clean-images.json").unlink()
    (target / "clean-sources.json").write_text("[1]")
    assert "clean-sources.json cannot be read: it is no list of sources; delete it" in refusal(capsys, source, target)


def test_folders_that_cannot_be_used_are_named_in_one_sentence(source, target, tmp_path, capsys):
    add(source, "a.png")
    add(source, "sub/b.png")
    (tmp_path / "file").write_text("in the way")
    (target).mkdir()
    (target / "sub").symlink_to(tmp_path / "planted")
    (tmp_path / "planted").mkdir()
    for arguments, sentence in {
        (tmp_path / "none", target): f"{tmp_path}/none is not a folder.",
        (source, source / "sub" / "out"): f"{source}/sub/out and {source} lie in one another; write to a folder",
        (source, tmp_path): f"{tmp_path} and {source} lie in one another",
        (source, tmp_path / "file"): f"{tmp_path}/file cannot be written: File exists.",
        (source, target): f"{target}/sub is a link that leads out of {target}; remove it.",
    }.items():
        assert refusal(capsys, *arguments).startswith(f"clean-images: {sentence}")
    assert list((tmp_path / "planted").iterdir()) == []
    (target / "sub").unlink()
    (target / "sub").write_text("in the way")
    assert refusal(capsys, source, target) == f"clean-images: {target}/sub cannot be written: File exists."


@pytest.mark.parametrize("size", ["0", "-3", "2.5", "many", "100000"])
def test_a_size_that_is_none_or_that_no_memory_holds_is_refused(size, capsys):
    with pytest.raises(SystemExit):
        clean("in", "out", "--size", size)
    reason = "100000 is more than 8,192 pixels" if size == "100000" else "is not a whole number above 0"
    assert reason in capsys.readouterr().err
