import pytest

from ml.images import decoder_process
from ml.per_process import PerProcess

SERVE = "from ml.images.decoder_child import serve"


@pytest.fixture
def child_program(monkeypatch):
    """Children that are started from here on run some lines of the test's before they serve."""
    monkeypatch.setattr(decoder_process, "idle_children", PerProcess(list))

    def change(*lines: str) -> None:
        added = "\n".join(["import os, time", "from ml.images import decoder_child as child", *lines])
        monkeypatch.setattr(decoder_process, "PROGRAM", decoder_process.PROGRAM.replace(SERVE, f"{added}\n{SERVE}"))

    yield change
    for child in decoder_process.idle_children.get():
        child.end()
