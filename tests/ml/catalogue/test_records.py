"""What a CSV file says when nothing is forgiven; `tests/listings/importing` has what the import forgives."""

import pytest

from ml.catalogue.records import BrokenRecord, CatalogueError, CsvFile, Record


def read(tmp_path, data: bytes) -> list[Record | BrokenRecord]:
    path = tmp_path / "file.csv"
    path.write_bytes(data)
    with CsvFile(path, ("id", "name")) as file:
        return list(file)


def test_a_lost_quote_costs_its_own_row_and_says_how_far_it_reached(tmp_path):
    assert read(tmp_path, b'id,name\n1,"lost\n2,b\n"3",c\n4,d\n') == [
        BrokenRecord(2, "not readable as CSV, up to line 4: ',' expected after '\"'"),
        Record(3, {"id": "2", "name": "b"}),
        Record(4, {"id": "3", "name": "c"}),
        Record(5, {"id": "4", "name": "d"}),
    ]


def test_a_row_of_empty_cells_is_a_row_and_an_empty_line_is_none(tmp_path):
    assert read(tmp_path, b"id,name\n,\n\n1,a\n") == [
        Record(2, {"id": "", "name": ""}),
        Record(4, {"id": "1", "name": "a"}),
    ]


def test_columns_without_a_name_are_left_out(tmp_path):
    assert read(tmp_path, b"\xef\xbb\xbf, ID ,Name,\n0,1,a,b\n") == [Record(2, {"id": "1", "name": "a"})]


def test_a_line_that_is_not_utf_8_ends_the_reading_when_it_is_reached(tmp_path):
    path = tmp_path / "file.csv"
    path.write_bytes(b"id,name\n1,a\n2,caf\xe9\n")
    with CsvFile(path, ("id", "name")) as file:
        records = iter(file)
        assert next(records) == Record(2, {"id": "1", "name": "a"})
        with pytest.raises(CatalogueError, match=r"file\.csv, line 3, is not UTF-8 text"):
            next(records)
