"""Catalogues as spreadsheets, phones and people make them: the import and cleaning read the same out of each."""

import csv
import json
from pathlib import Path

import pytest
from django.core.management import CommandError

from listings.models import Listing
from ml.__main__ import main
from tests.factories import draw_photo
from tests.listings.catalogue import Catalogue

pytestmark = pytest.mark.django_db

HEAD = "id,product_name,category,seller,product_description,price,location\n"
IMAGES = "id,product_id\n"


@pytest.fixture
def catalogue(tmp_path):
    return Catalogue(tmp_path)


def fill(catalogue: Catalogue, products: str | bytes, images: str = IMAGES, files: tuple[str, ...] = ()) -> None:
    catalogue.products.write_bytes(products.encode() if isinstance(products, str) else products)
    catalogue.photos.write_text(images, encoding="utf-8")
    for name in files:
        catalogue.add_file(name)


def row(id_: str, **cells: str) -> str:
    cell = {"name": "One", "category": "Home / Cups", "seller": "ann", "price": "1.00"} | cells
    return f'{id_},{cell["name"]},{cell["category"]},{cell["seller"]},,"{cell["price"]}",Leeds\n'


def read_listings(catalogue: Catalogue, *options: str) -> tuple[dict[str, tuple], list[tuple[str, str]]]:
    """(title, category, price, photos) by id, and (line, column) of the findings in rows."""
    catalogue.run(*options)
    listings = {
        one.external_id: (
            one.title,
            one.category and one.category.path,
            one.price and str(one.price),
            one.images.count(),
        )
        for one in Listing.objects.select_related("category").order_by("pk")
    }
    return listings, [(line, column) for line, _, column, _ in catalogue.findings() if line != "1"]


def clean(catalogue: Catalogue, *options: str) -> tuple[dict[str, tuple], list[tuple[str, str]]]:
    """The same out of cleaned tables."""
    out = catalogue.products.parent / "out"
    arguments = [catalogue.products, catalogue.photos, out, "--images", catalogue.images, "--levels", "9", *options]
    assert main(["clean-tabular", *map(str, arguments)]) == 0
    pictures = [line["product"] for line in read_table(out / "training.csv")]
    listings = {
        line["id"]: (line["product_name"], line["category"], line["price"] or None, pictures.count(line["id"]))
        for line in read_table(out / "products.csv")
    }
    assert set(json.loads((out / "labels.json").read_text()))
    return listings, [(line["line"], line["column"]) for line in read_table(out / "dropped.csv")]


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def agree(catalogue: Catalogue, *options: str) -> tuple[dict[str, tuple], list[tuple[str, str]]]:
    """What both read."""
    found = read_listings(catalogue, *options)
    assert clean(catalogue, *options) == found
    return found


def test_a_price_that_two_people_read_differently_is_none_and_a_finding(catalogue):
    prices = ["1.000 £", "2.500", "1.234", ".99", "1 000", "1.234,50"]
    rows = [row(f"p{number}", price=price) for number, price in enumerate(prices)]
    fill(catalogue, HEAD + "".join(rows), IMAGES + "a,p0\n", ("a.jpg",))
    listings, findings = agree(catalogue)
    assert [price for _, _, price, _ in listings.values()] == [None, None, None, "0.99", "1000.00", "1234.50"]
    assert findings == [("2", "price"), ("3", "price"), ("4", "price")]


def test_photos_are_found_under_the_names_that_cameras_systems_and_messengers_give(catalogue):
    files = {
        "DSC_1": "DSC_1.JPG",
        "DSC_2": "DSC_2.JPEG",
        "DSC_3": "DSC_3.Png",
        "DSC_4": "DSC_4.GIF",
        "IMG_1 (1)": "IMG_1 (1).jpg",
        "WhatsApp Image 2023-01-01 at 12.00.00": "WhatsApp Image 2023-01-01 at 12.00.00.jpeg",
        "20220101_120000~2.jpg": "20220101_120000~2.jpg",
        "oak-table-" * 20: f"{'oak-table-' * 20}.jpg",
        "\u00e0 la carte": "a\u0300 la carte.jpg",
    }
    fill(catalogue, HEAD + row("p"), IMAGES + "".join(f"{id_},p\n" for id_ in files), tuple(files.values()))
    for name in files.values():
        if name.lower().endswith((".png", ".gif")):
            catalogue.add_file(name, draw_photo(len(name), format=name[-3:].upper()))
    assert agree(catalogue) == ({"p": ("One", "Home / Cups", "1.00", 9)}, [])


@pytest.mark.parametrize(
    "id_", ["\ufeffp", '\ufeff"p"', "p\u200b", "\u200ep", "p\u00ad", "\u00a0p\u00a0", "\u2067p\u2069"]
)
def test_what_nobody_sees_is_no_part_of_an_id(catalogue, id_):
    fill(
        catalogue,
        HEAD + row("first") + row(id_),
        IMAGES + "a,p\nb\u200b,p\n\ufeffc,p\u200b\n",
        ("a.jpg", "b.jpg", "c.jpg"),
    )
    listings, findings = agree(catalogue)
    assert {key: value[3] for key, value in listings.items()} == {"first": 0, "p": 3}
    assert findings == []


def test_rows_that_spreadsheets_pad_or_cut_off_are_listings(catalogue):
    padded = row("p1").replace("\n", ",,\n") + row("p2").replace("\n", ",\n")
    fill(catalogue, HEAD + padded + "p3,One,Home / Cups,ann,,1.00\n,,,,,,\np4,One\n", IMAGES + "a,p1\n", ("a.jpg",))
    listings, findings = agree(catalogue)
    assert list(listings) == ["p1", "p2", "p3"]
    assert findings == [("4", ""), ("6", "")]


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_the_files_of_other_spreadsheets_are_read_as_they_are(catalogue, separator, encoding):
    text = (HEAD + row("p1", name="стул 👩\u200d👧")).replace(",", separator).replace("\n", "\r\n")
    fill(catalogue, text.encode(encoding), IMAGES + "a,p1\n", ("a.jpg",))
    assert agree(catalogue) == ({"p1": ("стул 👩\u200d👧", "Home / Cups", "1.00", 1)}, [])


@pytest.mark.parametrize(
    ("encoding", "word"),
    [("gbk", "红色椅子"), ("shift_jis", "赤い椅子"), ("cp1251", "Красный стул"), ("cp1252", "café")],
)
def test_a_file_in_another_encoding_is_refused_or_read_when_told_and_never_published_by_a_guess(
    catalogue, capsys, encoding, word
):
    text = HEAD + row("p1", name=word, category=f"{word} / {word}")
    fill(catalogue, text.encode(encoding), IMAGES + "a,p1\n", ("a.jpg",))
    with pytest.raises(CommandError, match=r"Products\.csv, line 2, is not UTF-8 text: it holds .* or say which"):
        catalogue.run()
    assert not Listing.objects.exists()
    assert main(["clean-tabular", str(catalogue.products), str(catalogue.photos), str(catalogue.images / "out")]) == 1
    assert "Products.csv, line 2, is not UTF-8 text" in capsys.readouterr().err
    assert agree(catalogue, "--encoding", encoding) == ({"p1": (word, f"{word} / {word}", "1.00", 1)}, [])


def test_a_line_in_another_encoding_costs_its_row_and_no_other(catalogue):
    lines = (row("p1", name="café") + row("p2", name="£ mug")).encode() + row("p3", name="café").encode("cp1252")
    fill(catalogue, HEAD.encode() + lines + row("p4").encode(), IMAGES + "a,p1\n", ("a.jpg",))
    listings, findings = agree(catalogue)
    assert {key: value[0] for key, value in listings.items()} == {"p1": "café", "p2": "£ mug", "p4": "One"}
    assert findings == [("4", "")]
    assert "is not UTF-8 text: it holds p3,caf\\xe9,Home" in catalogue.report.read_text()


@pytest.mark.parametrize("name", ["nope", "rot13", "base64"])
def test_an_encoding_that_does_not_exist_is_refused(catalogue, capsys, name):
    with pytest.raises(CommandError, match=f"'{name}' is no encoding that Python knows"):
        catalogue.run("--encoding", name)
    with pytest.raises(SystemExit):
        main(["clean-tabular", "a.csv", "b.csv", "out", "--encoding", name])
    assert f"'{name}' is no encoding that Python knows" in capsys.readouterr().err


def test_a_category_has_its_levels_whichever_mark_the_shop_writes(catalogue):
    paths = ["Home > Cups", "Home / Cups", "Home\u00a0/ Cups", "Home/Cups"]
    rows = [row(f"p{number}", category=path) for number, path in enumerate(paths)]
    fill(catalogue, HEAD + "".join(rows), IMAGES + "a,p1\n", ("a.jpg",))
    listings, findings = agree(catalogue)
    assert [category for _, category, _, _ in listings.values()] == ["Home / Cups"] * 3 + ["Home/Cups"]
    assert findings == []
