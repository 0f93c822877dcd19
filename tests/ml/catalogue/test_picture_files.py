"""Which file an id of a table of images names."""

import os
import unicodedata

import pytest

from ml.catalogue.picture_files import PictureFiles

FILES = [
    "DSC_0001.JPG",
    "DSC_0002.jpeg",
    "DSC_0003.Png",
    "two.webp",
    "two.jpg",
    "three.JPG",
    "three.jpg",
    "four.png.jpg",
    "four.png",
    "five.jpg",
    "WhatsApp Image 2023-01-01 at 12.00.00.heic",
    unicodedata.normalize("NFD", "\u00e0 la carte.avif"),
    "space \u00a0.gif",
    "notes.txt",
    "nothing",
]
NAMES = {
    "DSC_0001": "DSC_0001.JPG",
    "DSC_0001.jpg": "DSC_0001.JPG",
    "DSC_0002": "DSC_0002.jpeg",
    "DSC_0002.jpg": None,
    "DSC_0003.png": "DSC_0003.Png",
    "dsc_0001": None,
    "two": "two.jpg",
    "two.webp": "two.webp",
    "three": "three.jpg",
    "four": "four.png",
    "four.png": "four.png",
    "five.png": None,
    "WhatsApp Image 2023-01-01 at 12.00.00": FILES[10],
    "\u00e0 la carte": FILES[11],
    "space": "space \u00a0.gif",
    "notes": None,
    "notes.txt": None,
    "nothing": None,
    "inner": None,
    "../images/five": None,
}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in FILES:
        (folder / name).touch()
    (folder / "inner.jpg").mkdir()
    return folder


@pytest.mark.parametrize(("name", "file"), NAMES.items())
def test_a_name_finds_its_file_whatever_the_suffix_and_its_case(folder, name, file):
    found = PictureFiles(folder).find(name)
    assert (found and found.name) == file


def test_a_file_that_was_converted_is_found_by_the_name_it_had(folder):
    files = PictureFiles(folder)
    assert [files.find_converted(name) for name in ("five.png", "two.gif", "1.5")] == [
        folder / "five.jpg",
        folder / "two.jpg",
        None,
    ]


def test_a_folder_is_listed_once_however_many_files_are_asked_for(folder, monkeypatch):
    files = PictureFiles(folder)
    with monkeypatch.context() as broken:
        broken.setattr(os, "stat", None)
        broken.setattr(os, "scandir", None)
        assert files.find("five") == folder / "five.jpg"
