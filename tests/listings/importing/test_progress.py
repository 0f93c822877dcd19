import io

from listings.importing import progress
from listings.importing.progress import FileProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_a_bar_that_ends_at_the_size_of_the_file():
    said: list[str] = []
    terminal = Terminal()
    with FileProgress("Products.csv", 1000, terminal, said.append) as show:
        show(400, 500)
        show(1000, 900)
        assert show._bar.n == 1000
    assert "Products.csv" in terminal.getvalue()
    assert said == []


def test_without_a_terminal_a_plain_line_comes_now_and_then(monkeypatch):
    said: list[str] = []
    terminal = io.StringIO()
    with FileProgress("Products.csv", 1000, terminal, said.append) as show:
        show(100, 500)
        monkeypatch.setattr(progress, "EVERY_SECONDS", 0)
        show(400, 12_000)
    assert terminal.getvalue() == ""
    assert said == ["Products.csv: 12,000 rows, 40 %"]
