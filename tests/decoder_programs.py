"""Other programs in the place of the process that decodes AVIF and HEIC."""

from ml.images import decoder_process
from ml.per_process import PerProcess

# It reads the picture, and stays until it is ended: a pipe that closes earlier would be an end of the process.
REFUSING = """
import json, sys
print('{"ready": true}', flush=True)
request = json.loads(sys.stdin.buffer.readline())
sys.stdin.buffer.read(request.get("sniff") or request["open"])
print('{"refused": "Said by the other process.", "code": "too_many_pixels"}', flush=True)
sys.stdin.buffer.read()
"""
# As a machine that has no time for it.
KEPT_WAITING = """
import sys, time
print('{"ready": true}', flush=True)
sys.stdin.buffer.readline()
time.sleep(60)
"""
BROKEN = "raise SystemExit(3)"


def replace_decoder_program(monkeypatch, program: str) -> None:
    monkeypatch.setattr(decoder_process, "idle_children", PerProcess(list))
    monkeypatch.setattr(decoder_process, "PROGRAM", program)
