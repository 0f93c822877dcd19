"""A table of labelled pictures is read as every other table of the project."""

import pytest

from ml.folders.photo_set import PhotoSetError, read_photo_set


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_may_come_from_any_spreadsheet(tmp_path, encoding, separator):
    rows = ["Image,label,group,", "a (1).jpg,стул,g1,,", "b.JPG, стул\u200b ,g2,", ",,,", "\ufeffb.JPG,None,g1,"]
    (tmp_path / "table.csv").write_text("\r\n".join(rows).replace(",", separator) + "\r\n", encoding, newline="")
    for name in ("a (1).jpg", "b.JPG"):
        (tmp_path / name).touch()
    photos = read_photo_set(tmp_path / "table.csv")
    assert [path.name for path in photos.images] == ["a (1).jpg", "b.JPG", "b.JPG"]
    assert (photos.labels, photos.groups) == (("стул", "стул", "None"), ("g1", "g2", "g1"))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("image,label\na.jpg,стул\n".encode("cp1251"), "line 2, is not UTF-8 text: it holds a.jpg,\\xf1\\xf2"),
        (b"image,label\na.jpg\n", "line 2: 1 cell, but the header names 2 columns."),
        (b"image,label\na.jpg,\n", "line 2: image or label is empty."),
        (b"image,class\na.jpg,Mug\n", "has no column label; its first line names: image, class."),
    ],
)
def test_a_row_that_cannot_be_read_ends_in_one_sentence_with_its_line(tmp_path, data, sentence):
    (tmp_path / "table.csv").write_bytes(data)
    (tmp_path / "a.jpg").touch()
    with pytest.raises(PhotoSetError) as refusal:
        read_photo_set(tmp_path / "table.csv")
    assert f"{tmp_path}/table.csv" in str(refusal.value)
    assert sentence in str(refusal.value)
