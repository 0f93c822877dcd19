import pytest

from listings.importing.catalogue_file import CatalogueFile, Columns
from ml.catalogue.records import CatalogueError, Record

COLUMNS = Columns(required=("id", "name"), optional=("price",))


def read(tmp_path, data: bytes | str) -> list[tuple]:
    path = tmp_path / "file.csv"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    with CatalogueFile(path, COLUMNS) as file:
        return [
            (item.line, item.cells["name"]) if isinstance(item, Record) else (item.line, "broken: " + item.reason)
            for item in file
        ]


def test_a_record_is_known_by_the_physical_line_it_starts_on(tmp_path):
    data = 'id,name\n1,"two\nlines"\n2,"three\r\n\r\nlines"\n\n3,one\n'
    assert read(tmp_path, data) == [(2, "two\nlines"), (4, "three\r\n\r\nlines"), (8, "one")]


def test_a_byte_order_mark_and_untidy_headings_are_no_obstacle(tmp_path):
    assert read(tmp_path, b"\xef\xbb\xbf ID ,Name\r\n1,x\r\n") == [(2, "x")]


def test_a_lost_quote_costs_its_own_row_and_no_other(tmp_path):
    data = '"id","name"\n"1","a"\n"2","lost\n"3","c"\n"4","d"\n'
    lines = read(tmp_path, data)
    assert [(line, text) for line, text in lines if not text.startswith("broken")] == [(2, "a"), (4, "c"), (5, "d")]
    assert [line for line, text in lines if text.startswith("broken")] == [3]


def test_a_quote_that_is_open_at_the_end_of_the_file_swallows_nothing(tmp_path):
    lines = read(tmp_path, 'id,name\n1,"open\n2,b\n3,c\n')
    assert [line for line, text in lines if text.startswith("broken")] == [2]
    assert lines[1:] == [(3, "b"), (4, "c")]


def test_rows_with_too_few_or_too_many_cells_are_handed_out_as_broken(tmp_path):
    lines = read(tmp_path, "id,name\n1\n2,b\n3,c,d\n")
    assert lines == [
        (2, "broken: 1 cells, but the header names 2 columns"),
        (3, "b"),
        (4, "broken: 3 cells, but the header names 2 columns"),
    ]


def test_a_line_without_end_costs_one_row_and_bounded_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("ml.catalogue.lines.RECORD_LIMIT", 1000)
    lines = read(tmp_path, "id,name\n1," + "x" * 50_000 + "\n2,b\n")
    assert [line for line, _ in lines] == [2, 3]
    assert lines[0][1].startswith("broken")
    assert lines[1] == (3, "b")


def test_a_cell_longer_than_the_csv_module_takes_costs_one_row(tmp_path):
    lines = read(tmp_path, "id,name\n1," + "x" * 200_000 + "\n2,b\n")
    assert lines[0] == (2, "broken: not readable as CSV: field larger than field limit (131072)")
    assert lines[1] == (3, "b")


def test_lines_that_are_not_utf8_are_read_as_windows_1252_and_counted(tmp_path):
    path = tmp_path / "file.csv"
    path.write_bytes("id,name\n1,caf\u00e9\n".encode() + "2,\u00a33\n3,caf\u00e9\n".encode("cp1252"))
    with CatalogueFile(path, COLUMNS) as file:
        names = [item.cells["name"] for item in file if isinstance(item, Record)]
        assert names == ["café", "£3", "café"]
        assert file.fallback_summary == (3, 2)


def test_bytes_that_are_no_text_at_all_are_marked_and_do_not_stop_the_reading(tmp_path):
    assert read(tmp_path, b"id,name\n1,a\x81b\n2,b\n") == [(2, "a\ufffdb"), (3, "b")]


def test_a_nul_byte_reaches_the_cell(tmp_path):
    assert read(tmp_path, b"id,name\n1,a\0b\n") == [(2, "a\0b")]


def test_columns_that_may_be_missing_are_named(tmp_path):
    path = tmp_path / "file.csv"
    path.write_text("id,name\n")
    with CatalogueFile(path, COLUMNS) as file:
        assert file.missing == ["price"]
        assert list(file) == []


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"id,price\n1,2\n", "has no column name. Needed: id, name; also read when there: price."),
        (b"", "has no column id, name."),
        (b"id,name,name\n", "names the column name more than once."),
        ("id,name\n".encode("utf-16"), "is UTF-16 text; save it as CSV in UTF-8"),
        (b'"id,name\n1,2\n', "is not readable as CSV, line 1"),
        (b"id,name\r1,2\r", "is not readable as CSV, line 1"),
    ],
)
def test_a_file_that_cannot_be_a_catalogue_is_refused_in_one_sentence(tmp_path, data, sentence):
    with pytest.raises(CatalogueError) as refusal:
        read(tmp_path, data)
    assert sentence in str(refusal.value)
    assert "file.csv" in str(refusal.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CatalogueError, match=r"gone\.csv cannot be opened: No such file"):
        CatalogueFile(tmp_path / "gone.csv", COLUMNS)


def test_broken_records_never_repeat_a_line(tmp_path):
    data = 'id,name\n"1","a\nb\nc\n2,x\n'
    lines = [item[0] for item in read(tmp_path, data)]
    assert lines == sorted(set(lines))
