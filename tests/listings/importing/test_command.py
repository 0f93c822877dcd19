"""What `import_catalogue` says, and when it stops."""

import logging

import pytest
from django.core.management import CommandError, call_command

from listings.importing import run
from listings.models import Listing
from listings.photos.signals import photos_added
from tests.listings.catalogue import Catalogue

pytestmark = pytest.mark.django_db


@pytest.fixture
def catalogue(tmp_path):
    return Catalogue(tmp_path)


def test_the_report_keeps_spreadsheets_from_computing_a_cell(catalogue):
    catalogue.write([{"price": "=HYPERLINK(1)"}], [])
    catalogue.run()
    assert "'=HYPERLINK(1)" in catalogue.report.read_text()


def test_a_catalogue_that_cannot_be_read_stops_the_command_with_a_sentence(catalogue, tmp_path):
    catalogue.products.write_text("id,title\n1,x\n")
    with pytest.raises(CommandError, match="has no column product_name and category and seller"):
        catalogue.run()
    with pytest.raises(CommandError, match="is not a folder"):
        call_command("import_catalogue", "a.csv", "b.csv", "--images", str(tmp_path / "gone"))
    with pytest.raises(CommandError, match=r"gone\.csv cannot be read"):
        call_command("import_catalogue", str(tmp_path / "gone.csv"), "b.csv", "--images", str(tmp_path))


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (None, r"Images\.csv cannot be read: No such file"),
        (b"id,listing\n", r"Images\.csv has no column product_id; its first line names: id, listing"),
        (b"id,product_id\nr\xe9,p1\n", r"Images\.csv, line 2, is not UTF-8 text: it holds r\\xe9,p1"),
    ],
)
def test_a_second_file_that_cannot_be_used_is_told_before_the_first_is_imported(catalogue, images, sentence):
    catalogue.write([{}], [])
    catalogue.run()
    Listing.objects.all().delete()
    report = catalogue.report.read_text()
    catalogue.photos.unlink()
    if images is not None:
        catalogue.photos.write_bytes(images)
    with pytest.raises(CommandError, match=sentence):
        catalogue.run()
    assert not Listing.objects.exists()
    assert catalogue.report.read_text() == report


def test_the_report_never_replaces_a_file_of_the_catalogue(catalogue):
    catalogue.write([{}], [])
    before = catalogue.products.read_bytes()
    catalogue.report = catalogue.products
    with pytest.raises(CommandError, match=r"The report would replace .*Products\.csv, which is to be imported"):
        catalogue.run()
    assert catalogue.products.read_bytes() == before


def test_numbers_stand_with_their_nouns(catalogue):
    catalogue.write([{"price": "soon"}], [{}])
    catalogue.add_file("photo1.jpg")
    assert catalogue.run().splitlines() == [
        "Products.csv: 1 row, 1 listing made; 1 bad cell",
        "Images.csv: 1 row, 1 photo made",
        f"1 finding in {catalogue.report}",
    ]


def test_what_the_log_says_comes_once_below_what_the_command_prints(catalogue, capfd, monkeypatch):
    catalogue.write([{}, {"id": "p2"}], [{}, {"id": "photo2"}])
    catalogue.add_file("photo1.jpg")
    catalogue.add_file("photo2.jpg")
    monkeypatch.setattr(run, "BATCH_ROWS", 1)
    photos_added.connect(warn := lambda sender, **_kwargs: logging.getLogger("recommender").warning("No %s.", "answer"))
    call_command("import_catalogue", *catalogue.arguments)
    photos_added.disconnect(warn)
    printed = capfd.readouterr()
    assert printed.err == "No answer. (2 times)\n"
    assert printed.out.count("\n") == 3


def test_a_report_that_cannot_be_written_stops_the_command_with_a_sentence(catalogue, tmp_path):
    catalogue.write([{}], [])
    catalogue.report = tmp_path
    with pytest.raises(CommandError, match=r"report .* cannot be written: Is a directory"):
        catalogue.run()
    assert not Listing.objects.exists()
