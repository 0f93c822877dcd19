from ml.evaluation.text_table import align_columns

ROWS = [("rank", "label"), ("1", "cup"), ("10", "lamp and shade")]


def test_columns_are_as_wide_as_their_widest_cell_and_lines_end_with_their_text():
    assert align_columns(ROWS) == ["rank  label", "1     cup", "10    lamp and shade"]


def test_columns_of_numbers_end_in_line():
    assert align_columns(ROWS, right=1) == ["rank  label", "   1  cup", "  10  lamp and shade"]
