"""Two tables of a marketplace become one training table; every row and cell that is lost is named."""

import csv
import json
from pathlib import Path

import pytest

from ml.__main__ import main

CLOTHING = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "clothing"

PRODUCTS = """"",id,Product_Name,category,price,latitude,longitude
0,p1,Table,"Home & Garden / Tables","£1,234.00",53.8,-1.5
1,p2, Chair ,Home & Garden / Chairs / Oak,N/A,,
2,p3,Mug,Kitchen,£2.5,91,0
3,p1,Table again,Home & Garden,£1.00,,
4,p4,"Two
lines",,free,,
5,,Nameless,Kitchen,£1.00,,
6,p5,Too
7,p6,Cup,Kitchen,£3.00,,
"""
IMAGES = """,id,product_id
0,i1,p1
1,i2,p1
2,i3,p2
3,i4,p4
4,i5,p9
5,../i6,p1
6,i2,p3
7,i7,p6
8,i8,
"""
ANOTHER_ENCODING = "or say which encoding it has, such as --encoding windows-1252 or --encoding gbk."


@pytest.fixture
def tables(tmp_path):
    (tmp_path / "Products.csv").write_text(PRODUCTS, encoding="utf-8")
    (tmp_path / "Images.csv").write_text(IMAGES, encoding="utf-8")
    return tmp_path


def clean(folder: Path, *arguments) -> int:
    files = [folder / name for name in ("Products.csv", "Images.csv", "out")]
    return main(["clean-tabular", *map(str, [*files, *arguments])])


def refusal(capsys, folder: Path, *arguments) -> str:
    assert clean(folder, *arguments) == 1
    return capsys.readouterr().err.strip()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_the_tables_are_merged_and_what_is_lost_is_named(tables, capsys):
    assert clean(tables) == 0
    out = tables / "out"
    assert rows(out / "training.csv") == [
        ["image", "label", "product"],
        ["i1.jpg", "Home & Garden", "p1"],
        ["i2.jpg", "Home & Garden", "p1"],
        ["i3.jpg", "Home & Garden", "p2"],
        ["i7.jpg", "Kitchen", "p6"],
    ]
    assert rows(out / "products.csv") == [
        ["id", "product_name", "category", "price", "latitude", "longitude", "root_category"],
        ["p1", "Table", "Home & Garden / Tables", "1234.00", "53.8", "-1.5", "Home & Garden"],
        ["p2", "Chair", "Home & Garden / Chairs / Oak", "", "", "", "Home & Garden"],
        ["p3", "Mug", "Kitchen", "2.50", "", "0.0", "Kitchen"],
        ["p4", "Two lines", "", "", "", "", ""],
        ["p6", "Cup", "Kitchen", "3.00", "", "", "Kitchen"],
    ]
    assert json.loads((out / "labels.json").read_text()) == {"Home & Garden": 0, "Kitchen": 1}
    assert rows(out / "dropped.csv") == [
        ["file", "line", "column", "reason"],
        ["Products.csv", "3", "price", "is a placeholder"],
        ["Products.csv", "4", "latitude", "is not between -90 and 90"],
        ["Products.csv", "5", "id", "repeats line 2; row left out"],
        ["Products.csv", "6", "category", "is empty"],
        ["Products.csv", "6", "price", "is not a price"],
        ["Products.csv", "8", "id", "is empty; row left out"],
        ["Products.csv", "9", "", "3 cells, but the header names 7 columns"],
        ["Images.csv", "5", "product_id", "listing p4 has no category"],
        ["Images.csv", "6", "product_id", "no listing p9"],
        ["Images.csv", "7", "id", "is not a plain file name; row left out"],
        ["Images.csv", "8", "id", "repeats line 3; row left out"],
        ["Images.csv", "10", "product_id", "is empty; row left out"],
    ]
    assert capsys.readouterr().out.splitlines() == [
        f"{out}: 5 products, 4 images with 2 labels.",
        "  Products.csv: 5 bad cells, 1 row that cannot be read, 1 repeated row",
        "  Images.csv: 2 bad cells, 1 repeated row, 1 image without a listing, 1 image of a listing without a category",
        f"Each of these 12 with line, column and reason: {out}/dropped.csv",
    ]


def test_the_same_tables_give_the_same_bytes(tables):
    clean(tables)
    first = contents(tables / "out")
    clean(tables)
    assert contents(tables / "out") == first
    assert set(first) == {"products.csv", "training.csv", "labels.json", "dropped.csv"}


def test_finer_labels_take_more_levels_of_the_category(tables):
    clean(tables, "--levels", "2")
    assert [row[1] for row in rows(tables / "out" / "training.csv")[1:]] == [
        "Home & Garden / Tables",
        "Home & Garden / Tables",
        "Home & Garden / Chairs",
        "Kitchen",
    ]


def test_images_whose_file_is_missing_are_dropped_where_files_are_looked_for(tables, capsys):
    pictures = tables / "pictures"
    assert "pictures is not a folder." in refusal(capsys, tables, "--images", pictures)
    pictures.mkdir()
    for name in ("i1.png", "i2.jpg", "i3.jpg"):
        (pictures / name).touch()
    clean(tables, "--images", pictures)
    assert [row[0] for row in rows(tables / "out" / "training.csv")[1:]] == ["i1.png", "i2.jpg", "i3.jpg"]
    missing = [row for row in rows(tables / "out" / "dropped.csv") if row[2] == "id" and "no picture" in row[3]]
    assert [row[1] for row in missing] == ["5", "6", "9"]
    assert missing[2] == ["Images.csv", "9", "id", f"no picture i7.jpg in {pictures}"]


def test_one_label_for_everything_comes_with_the_way_out(tables, capsys):
    (tables / "Images.csv").write_text("id,product_id\ni1,p1\n")
    clean(tables)
    assert "All images have the label 'Home & Garden'; --levels 2 makes finer ones." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("Products.csv", None, "cannot be read: No such file or directory."),
        ("Products.csv", b"", "is empty; its first line must name the columns."),
        ("Products.csv", b"id,price\n1,2\n", "has no column category; its first line names: id, price."),
        ("Products.csv", b"id,category,ID\n1,2,3\n", "names the column id more than once."),
        ("Products.csv", b"id,category\n", "lists no product that can be used."),
        ("Products.csv", PRODUCTS.encode("utf-16-le"), "save it as CSV in UTF-8, or say --encoding utf-16-le."),
        ("Products.csv", PRODUCTS.encode("cp1252"), ANOTHER_ENCODING),
        ("Products.csv", b'"id,category\n', ", line 1, is not readable as CSV: unexpected end of data."),
        ("Images.csv", b"id\ni1\n", "has no column product_id; its first line names: id."),
        ("Images.csv", b"id,product_id\n", "lists no image of a listing with a category."),
        ("Images.csv", b"id,product_id\ni1,p9\n", "lists no image of a listing with a category."),
        ("Images.csv", b"id,product_id\ni1,p1\n\xff,p1\n", ANOTHER_ENCODING),
    ],
)
def test_a_table_that_cannot_be_used_ends_in_one_sentence_and_changes_nothing(tables, capsys, name, data, sentence):
    clean(tables)
    before = contents(tables / "out")
    capsys.readouterr()
    (tables / name).unlink()
    if data is not None:
        (tables / name).write_bytes(data)
    found = refusal(capsys, tables)
    assert found.startswith(f"clean-tabular: {tables / name}")
    assert found.endswith(sentence)
    assert contents(tables / "out") == before


def test_a_table_without_fault_is_told_as_such(tables, capsys):
    (tables / "Products.csv").write_text("id,category\np1,Home\n")
    (tables / "Images.csv").write_text("id,product_id\ni1,p1\n")
    assert clean(tables) == 0
    assert "  Products.csv: nothing to report\n" in capsys.readouterr().out


def test_a_currency_is_a_code_in_either_case(tables, capsys):
    (tables / "Products.csv").write_text("id,category,price\np1,Home,€3\np2,Home,£3\n", encoding="utf-8")
    assert clean(tables, "--currency", "eur") == 0
    assert [row[2] for row in rows(tables / "out" / "products.csv")[1:]] == ["3.00", ""]
    with pytest.raises(SystemExit):
        clean(tables, "--currency", "pounds")
    assert "'pounds' is not a code of three letters such as GBP" in capsys.readouterr().err


@pytest.mark.parametrize("link", [False, True])
def test_a_table_is_never_replaced_by_its_result(tables, capsys, link):
    lower = tables / "products.csv"
    if link:
        lower.hardlink_to(tables / "Products.csv")
    else:
        (tables / "Products.csv").rename(lower)
    images = tables / "Images.csv"
    before = contents(tables)
    assert main(["clean-tabular", str(lower), str(images), str(tables)]) == 1
    said = f"clean-tabular: {lower} would replace the table it is made from; choose another folder.\n"
    assert capsys.readouterr().err == said
    assert contents(tables) == before


def test_a_folder_in_the_place_of_a_result_is_named_and_nothing_is_written(tables, capsys):
    (tables / "out" / "labels.json").mkdir(parents=True)
    found = refusal(capsys, tables)
    assert found.startswith(f"clean-tabular: {tables}/out/labels.json is a folder")
    assert [path.name for path in (tables / "out").iterdir()] == ["labels.json"]


def test_a_file_in_the_place_of_the_folder_is_named(tables, capsys):
    (tables / "out").write_text("in the way")
    assert refusal(capsys, tables) == f"clean-tabular: {tables}/out cannot be written: File exists."


def test_a_lost_quote_costs_its_rows_and_is_told(tables):
    table = 'id,category\np1,Home\np2,Ho"me\n"p3"x,Home\np4,Home\n'
    (tables / "Products.csv").write_text(table)
    (tables / "Images.csv").write_text("\ufeffid,product_id\ni1,p1\n\ni4,p4\n", encoding="utf-8")
    clean(tables)
    assert [row[0] for row in rows(tables / "out" / "products.csv")[1:]] == ["p1", "p2", "p4"]
    assert rows(tables / "out" / "dropped.csv")[1:] == [
        ["Products.csv", "4", "", "not readable as CSV, up to line 4: ',' expected after '\"'"]
    ]
    assert [row[0] for row in rows(tables / "out" / "training.csv")[1:]] == ["i1.jpg", "i4.jpg"]


@pytest.mark.skipif(not CLOTHING.is_dir(), reason="the clothing catalogue lies outside the repository and is not here")
def test_the_clothing_catalogue_gives_every_photo_that_has_a_category(tmp_path, capsys):
    files = [str(path) for path in (CLOTHING / "Products.csv", CLOTHING / "Images.csv", tmp_path)]
    assert main(["clean-tabular", *files, "--images", str(CLOTHING / "images"), "--levels", "4"]) == 0
    assert capsys.readouterr().out.splitlines()[:3] == [
        f"{tmp_path}: 4,558 products, 5,397 images with 35 labels.",
        "  Products.csv: 7 bad cells, 1 repeated row",
        "  Images.csv: 1 image without a listing, 1 image of a listing without a category, 2 images without a file",
    ]
    dropped = [tuple(row[:3]) for row in rows(tmp_path / "dropped.csv")[1:]]
    products = {
        "36": "price",
        "184": "price",
        "406": "product_name",
        "668": "category",
        "810": "price",
        "1026": "price",
        "1302": "latitude",
        "1402": "id",
    }
    images = [("2933", "product_id"), ("5400", "id"), ("5400", "product_id"), ("5401", "id")]
    assert dropped == [("Products.csv", *cell) for cell in products.items()] + [
        ("Images.csv", *cell) for cell in images
    ]
