from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from listings.importing import rows
from listings.importing.rows import parse_photo_row, parse_product
from listings.models import Category, ImportedPhoto, Listing
from ml.catalogue.findings import Kind
from ml.catalogue.records import Record
from tests.listings.catalogue import PRODUCT

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def product(**cells):
    return parse_product(Record(5, PRODUCT | cells), "GBP", NOW)


def test_a_good_row_becomes_an_active_product_without_findings():
    made, findings = product()
    assert findings == []
    assert (made.id, made.seller, made.title, made.category) == ("p1", "7", "Red mug", "Home / Mugs")
    assert (made.price, made.point, made.status) == (Decimal("4.50"), (53.8, -1.5), "active")
    assert made.created_at == datetime(2022, 2, 26, tzinfo=UTC)


def test_each_bad_optional_cell_is_left_empty_and_named():
    made, findings = product(
        price="N/A", latitude="123", location="x" * 121, product_description="a\0b", create_time="soon"
    )
    assert (made.price, made.point, made.location, made.description, made.created_at) == (None, None, "", "", NOW)
    assert made.status == "active"
    assert {(found.line, found.column, found.kind) for found in findings} == {
        (5, column, Kind.BAD_CELL) for column in ("price", "latitude", "location", "product_description", "create_time")
    }


def test_a_bad_title_or_category_makes_a_draft():
    for cells in ({"product_name": ""}, {"category": "N/A"}, {"product_name": "x" * 201}):
        made, findings = product(**cells)
        assert made.status == "draft"
        assert [(found.column, found.reason.endswith("imported as a draft")) for found in findings] == [(*cells, True)]
    assert product(product_name="")[0].title == "(no title)"
    assert product(category="N/A")[0].category == ""


def test_a_row_without_a_usable_id_or_seller_is_left_out():
    for cells in ({"id": ""}, {"id": "x" * 65}, {"seller": "no body"}):
        made, findings = product(**cells)
        assert made is None
        assert [(found.column, found.kind) for found in findings] == [(*cells, Kind.REFUSED)]


def test_a_column_that_is_not_in_the_file_is_no_bad_cell():
    cells = {
        name: text for name, text in PRODUCT.items() if name not in {"price", "create_time", "latitude", "longitude"}
    }
    made, findings = parse_product(Record(2, cells), "GBP", NOW)
    assert findings == []
    assert (made.price, made.point, made.created_at) == (None, None, NOW)


def test_a_photo_row_names_a_file_and_a_product():
    made, findings = parse_photo_row(Record(3, {"id": "img", "product_id": "p1", "create_time": "2022-02-26"}), NOW)
    assert (made.id, made.product_id, findings) == ("img", "p1", [])
    for cells in ({"id": "../img", "product_id": "p1"}, {"id": "img", "product_id": ""}):
        made, findings = parse_photo_row(Record(3, cells), NOW)
        assert made is None
        assert [found.kind for found in findings] == [Kind.REFUSED]


def test_the_limits_are_those_of_the_columns():
    fields: dict[int, list[Any]] = {
        rows.ID_LIMIT: [Listing.external_id],
        rows.PHOTO_ID_LIMIT: [ImportedPhoto.external_id],
        rows.TITLE_LIMIT: [Listing.title],
        rows.DESCRIPTION_LIMIT: [Listing.description],
        rows.LOCATION_LIMIT: [Listing.location],
        rows.NAME_LIMIT: [Category.name],
        rows.PATH_LIMIT: [Category.path],
    }
    assert all(attribute.field.max_length == limit for limit, owners in fields.items() for attribute in owners)
