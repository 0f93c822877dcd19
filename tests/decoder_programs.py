"""Other programs in the place of the process that decodes AVIF and HEIC."""

from ml.images import decoder_process
from ml.per_process import PerProcess

REFUSING = """print('{"ready": true}\\n{"refused": "Said by the other process.", "code": "too_many_pixels"}')"""
BROKEN = "raise SystemExit(3)"


def replace_decoder_program(monkeypatch, program: str) -> None:
    monkeypatch.setattr(decoder_process, "idle_children", PerProcess(list))
    monkeypatch.setattr(decoder_process, "PROGRAM", program)
