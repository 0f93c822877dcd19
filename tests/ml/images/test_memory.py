"""Large pictures are decoded one at a time, so that a worker's memory does not grow with its threads."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from ml.images import decode
from tests.ml.pictures import encode

ROOT = Path(__file__).resolve().parents[3]
ESTIMATE = r"""
import re, sys
from pathlib import Path
from ml.images.decoder import load_picture, open_for_decoding

def status(name):
    return int(re.search(name + r":\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024

load_picture(open_for_decoding(open(sys.argv[2], "rb"), None))  # loads what is loaded once
before = status("VmRSS")
box = tuple(map(float, sys.argv[4:])) or None
opened = open_for_decoding(open(sys.argv[1], "rb"), int(sys.argv[3]) or None, box)
load_picture(opened)
print((status("VmHWM") - before) / opened.peak_bytes)
"""


def measure_share(folder: Path, data: bytes, small: bytes, side: int, *box: float) -> float:
    """The memory that decoding a picture takes, as a share of what was estimated."""
    for name, content in (("large", data), ("small", small)):
        (folder / name).write_bytes(content)
    command = [sys.executable, "-c", ESTIMATE, *map(str, (folder / "large", folder / "small", side, *box))]
    return float(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize(
    ("fmt", "mode", "side", "options"),
    [
        ("JPEG", "RGB", 0, {"progressive": True, "subsampling": 0}),
        ("JPEG", "CMYK", 0, {}),
        ("PNG", "P", 512, {"transparency": 3, "compress_level": 1}),
        ("PNG", "RGB", 512, {"transparency": (1, 2, 3), "compress_level": 1}),
        ("PNG", "I;16", 512, {"compress_level": 1}),
        ("WEBP", "RGBA", 512, {"method": 0}),
        ("AVIF", "RGBA", 512, {"speed": 10}),
        ("GIF", "P", 512, {}),
    ],
)
def test_no_more_memory_is_taken_than_was_estimated(tmp_path, fmt, mode, side, options):
    picture = Image.linear_gradient("L").resize((3000, 2000)).convert("RGB")
    picture = Image.new("I;16", picture.size, 9000) if mode == "I;16" else picture.convert(mode)
    data, small = (encode(each, fmt, **options) for each in (picture, picture.crop((0, 0, 64, 64))))
    assert measure_share(tmp_path, data, small, side) < 1.1


@pytest.mark.parametrize(
    ("fmt", "level", "cut"), [("PNG", 0, 1), ("PNG", 90, 0.8), ("JPEG", 128, 1), ("JPEG", 90, 0.8)]
)
def test_a_picture_that_ends_as_if_cut_off_is_never_held_twice(tmp_path, fmt, level, cut):
    """Of a small part of a JPEG all is decoded at full size."""
    data, small = (encode(Image.new("RGB", size, (level,) * 3), fmt) for size in ((3000, 2000), (64, 64)))
    assert measure_share(tmp_path, data[: int(cut * len(data))], small, 512, 0.3, 0.3, 0.1, 0.1) < 1.2


def test_threads_decode_large_pictures_one_after_the_other(child_program, tmp_path):
    """Each in a process of its own, so that nothing but their turns keeps them from taking memory together."""
    marks = tmp_path / "marks"
    child_program(
        f"marks, load = open({str(marks)!r}, 'ab', buffering=0), child.load_picture",
        "def note(opened):",
        "    marks.write(b'<')",
        "    picture = load(opened)",
        "    marks.write(b'>')",
        "    return picture",
        "child.load_picture = note",
    )
    # 29 million pixels of three times 16 bits, kept until the last scan
    data = encode(Image.new("RGB", (5400, 5400), "navy"), "JPEG", progressive=True, subsampling=0)
    with ThreadPoolExecutor(3) as pool:
        sizes = set(pool.map(lambda _: decode(data, 512).size, range(3)))
    assert sizes == {(675, 675)}
    assert marks.read_text() == "<>" * 3
