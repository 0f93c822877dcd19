import pytest

from listings.photos.uploads import declared_length


@pytest.mark.parametrize(
    ("said", "length"),
    [
        ("", 0),
        ("120", 120),
        ("-1", 0),
        ("many", 0),
        ("\N{SUPERSCRIPT TWO}", 0),
        ("9" * 5000, 10**18 - 1),
        ("0" * 18 + "999", 999),
    ],
)
def test_only_a_number_declares_a_length(rf, said, length):
    assert declared_length(rf.post("/", CONTENT_LENGTH=said)) == length
