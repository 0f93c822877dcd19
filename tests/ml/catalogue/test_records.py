"""What a CSV file says, and which of its rows cannot be read; the import and cleaning read all tables this way."""

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml.catalogue.encodings import ADVICE, CatalogueError
from ml.catalogue.records import BrokenRecord, CsvFile, Record


def read(tmp_path, data: bytes | str, encoding: str | None = None) -> list[Record | BrokenRecord]:
    path = tmp_path / "file.csv"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    with CsvFile(path, ("id", "name"), encoding) as file:
        return list(file)


def read_names(tmp_path, data: bytes | str, encoding: str | None = None) -> list[tuple[int, str]]:
    return [
        (item.line, item.cells["name"] if isinstance(item, Record) else "broken")
        for item in read(tmp_path, data, encoding)
    ]


def refuse(tmp_path, data: bytes, encoding: str | None = None) -> str:
    with pytest.raises(CatalogueError) as refusal:
        read(tmp_path, data, encoding)
    return str(refusal.value)


def test_a_record_is_known_by_the_physical_line_it_starts_on(tmp_path):
    data = 'id,name\n1,"two\nlines"\n2,"three\r\n\r\nlines"\n\n3,one\n'
    assert read_names(tmp_path, data) == [(2, "two\nlines"), (4, "three\r\n\r\nlines"), (8, "one")]


def test_a_lost_quote_costs_its_own_row_and_says_how_far_it_reached(tmp_path):
    assert read(tmp_path, b'id,name\n1,"lost\n2,b\n"3",c\n4,d\n') == [
        BrokenRecord(2, "not readable as CSV, up to line 4: ',' expected after '\"'"),
        Record(3, {"id": "2", "name": "b"}),
        Record(4, {"id": "3", "name": "c"}),
        Record(5, {"id": "4", "name": "d"}),
    ]


def test_a_quote_that_is_open_at_the_end_of_the_file_swallows_nothing(tmp_path):
    assert read_names(tmp_path, 'id,name\n1,"open\n2,b\n3,c\n') == [(2, "broken"), (3, "b"), (4, "c")]


def test_broken_records_never_repeat_a_line(tmp_path):
    lines = [line for line, _ in read_names(tmp_path, 'id,name\n"1","a\nb\nc\n2,x\n')]
    assert lines == sorted(set(lines))


def test_rows_of_empty_cells_and_the_header_of_a_file_joined_on_say_nothing(tmp_path):
    data = "id,name\n,\n\n1,a\n , \n\ufeffid,name\n2,b\n"
    assert read_names(tmp_path, data) == [(4, "a"), (7, "b")]


def test_columns_are_known_whatever_their_case_and_space_and_those_without_a_name_are_left_out(tmp_path):
    assert read(tmp_path, "\ufeff, \u200bID ,Name,\n0,1,a,b\n") == [Record(2, {"id": "1", "name": "a"})]


@pytest.mark.parametrize(
    ("row", "cells"),
    [("1,a,,,", ["1", "a", ""]), ("1,a, , ", ["1", "a", " "]), ("1,a,3,,x", None), ('"1","a","3",""', ["1", "a", "3"])],
)
def test_a_row_may_be_padded_with_empty_cells_only(tmp_path, row, cells):
    (found,) = read(tmp_path, f"id,name,price\n{row}\n")
    assert (list(found.cells.values()) if isinstance(found, Record) else None) == cells


def test_cells_may_be_missing_at_the_end_where_no_required_one_is_among_them_and_it_is_told(tmp_path):
    note = "2 cells for 3 columns; those that are missing were read as empty"
    assert read(tmp_path, 'id,name,price\n1,a\n2\n3,"a\nb"\n4,c') == [
        Record(2, {"id": "1", "name": "a", "price": ""}, note),
        BrokenRecord(3, "1 cell, but the header names 3 columns"),
        # Of these, one may have lost a quote, and the other may have been cut off in the middle of a cell.
        BrokenRecord(4, "2 cells, but the header names 3 columns"),
        BrokenRecord(5, "1 cell, but the header names 3 columns"),
        BrokenRecord(6, "2 cells, but the header names 3 columns"),
    ]


def test_a_line_without_end_costs_one_row_and_bounded_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("ml.catalogue.lines.RECORD_LIMIT", 1000)
    assert read_names(tmp_path, "id,name\n1," + "x" * 50_000 + "\n2,b\n") == [(2, "broken"), (3, "b")]


def test_a_picture_in_a_cell_is_a_long_cell(tmp_path):
    assert read_names(tmp_path, "id,name\n1," + "x" * 200_000 + "\n2,b\n") == [(2, "x" * 200_000), (3, "b")]


def test_a_nul_byte_reaches_the_cell(tmp_path):
    assert read_names(tmp_path, b"id,name\n1,a\0b\n") == [(2, "a\0b")]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("first", ["", "\ufeff", "sep={}\n", "\ufeffSep={}\n", "{0}{0}\n"])
def test_separators_and_line_ends_of_all_spreadsheets_are_read(tmp_path, separator, end, first):
    text = f'{first.format(separator)}"id"{separator}name{separator}price\n1{separator}"a{separator}b"{separator}\n'
    assert [name for _, name in read_names(tmp_path, text.replace("\n", end))] == [f"a{separator}b"]


def test_a_carriage_return_inside_a_cell_without_quotes_costs_its_row_and_is_named(tmp_path):
    assert read(tmp_path, "id,name\n1,a\rb\n2,b\n") == [
        BrokenRecord(2, "not readable as CSV, up to line 2: a line break in a cell without quotes"),
        Record(3, {"id": "2", "name": "b"}),
    ]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"id,price\n1,2\n", "file.csv has no column name; its first line names: id, price."),
        (b"title;id\n1;2\n", "file.csv has no column id and name; its first line names: title;id."),
        (b"a\x1b[31m;" + b"b" * 300, "names: a [31m;" + "b" * 193 + "\u2026."),
        (b"\xff\x1b[31mid", "line 1, is not UTF-8 text: it holds \\xff [31mid. " + ADVICE),
        (b"", "file.csv is empty; its first line must name the columns."),
        (b"id,name,name\n", "file.csv names the column name more than once."),
        (b'"id,name\n1,2\n', "file.csv, line 1, is not readable as CSV: unexpected end of data."),
        (b"id,name,caf\xe9\n1,\xc3\xa9,\n2,\xc3\xa9,\n", "line 1, is not UTF-8 text: it holds id,name,caf\\xe9."),
    ],
)
def test_a_file_that_cannot_be_a_catalogue_is_refused_in_one_sentence(tmp_path, data, sentence):
    assert refuse(tmp_path, data).endswith(sentence)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CatalogueError, match=r"gone\.csv cannot be read: No such file"):
        CsvFile(tmp_path / "gone.csv", ("id",))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_file_says_with_its_mark_which_encoding_it_has_whatever_was_told(tmp_path, encoding):
    data = "id,name\n1,caf\u00e9 \u6905\u5b50\n".encode(encoding)
    assert read_names(tmp_path, data) == [(2, "café 椅子")]
    if encoding != "utf-8":
        assert read_names(tmp_path, data, "gbk") == [(2, "café 椅子")]


CODE_PAGES = {
    "gbk": "红色椅子",
    "shift_jis": "赤い椅子",
    "cp1251": "Красный стул",
    "cp1252": "café £3 ½",
    "iso8859-2": "źdźbło",
    "utf-16-le": "стул",
    "utf-16-be": "стул",
}


@pytest.mark.parametrize(("encoding", "word"), CODE_PAGES.items())
def test_a_file_in_another_encoding_is_read_when_told_and_never_by_a_guess(tmp_path, encoding, word):
    data = f"id,name\r\n1,a\r\n2,{word}\r\n3,{word}\r\n".encode(encoding)
    assert read_names(tmp_path, data, encoding) == [(2, "a"), (3, word), (4, word)]
    found = refuse(tmp_path, data)
    assert "--encoding" in found
    assert "in UTF-8, or say" in found
    if not encoding.startswith("utf-16"):
        assert "file.csv, line 3, is not UTF-8 text, like 1 other line: it holds 2," in found


def test_the_wrong_encoding_is_told_where_bytes_show_it(tmp_path):
    data = "id,name\n1,Стул красный\n".encode("cp1251")
    assert "line 2, is not GBK text: it holds" in refuse(tmp_path, data, "gbk")
    half = "id,name\n1,a\n".encode("utf-16-le")[:-1]
    assert "line 2, is not UTF-16-LE text: truncated data. Save the file" in refuse(tmp_path, half, "utf-16-le")
    bare = "id,name\n1,a\n".encode("utf-32-be")
    assert "line 1, is not UTF-32 text: " in refuse(tmp_path, bare, "utf-32")


def test_single_lines_in_another_encoding_cost_their_rows_and_show_their_bytes(tmp_path):
    data = "id,name\n1,café\n2,\u00a33\n".encode() + "3,caf\u00e9 au lait\n4,a\n".encode("cp1252")
    reason = "is not UTF-8 text: it holds 3,caf\\xe9 au lait"
    assert [item for item in read(tmp_path, data) if isinstance(item, BrokenRecord)] == [BrokenRecord(4, reason)]
    assert read_names(tmp_path, data) == [(2, "café"), (3, "£3"), (4, "broken"), (5, "a")]


def test_a_table_of_plain_letters_beside_one_in_utf_16_is_read_as_it_is(tmp_path):
    assert read_names(tmp_path, b"id,name\n1,a\n", "utf-16-le") == [(2, "a")]


CELLS = st.text("abc,;\t|\"' \r\n\u00e9\u4e2d\U0001f469\u200d", max_size=6)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(CELLS, CELLS), max_size=4),
    st.sampled_from(",;\t|"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "gb18030"]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_every_table_that_is_written_in_quotes_is_read_as_it_was(tmp_path, rows, separator, encoding, end):
    written = io.StringIO()
    writer = csv.writer(written, delimiter=separator, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("id", "name", "x"), *(("p", *row) for row in rows)])
    found = read(tmp_path, written.getvalue().encode(encoding), encoding)
    assert [isinstance(record, Record) and tuple(record.cells.values())[1:] for record in found] == rows
