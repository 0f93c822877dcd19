"""Large pictures are decoded one at a time, so that a worker's memory does not grow with its threads."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[3]
PEAK = r"""
import re, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from ml.images import make_clean_picture, decode

data, threads = Path(sys.argv[1]).read_bytes(), int(sys.argv[2])
def peak():  # of this process alone; getrusage begins with its parent's
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) // 1024

before = peak()
with ThreadPoolExecutor(threads) as pool:
    sizes = set(pool.map(lambda _: make_clean_picture(decode(data, 512)).size, range(threads)))
assert sizes == {(512, 512)}, sizes
print(peak() - before)
"""


ESTIMATE = r"""
import re, sys
from pathlib import Path
from ml.images.decoder import load_picture, open_for_decoding

def status(name):
    return int(re.search(name + r":\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024

load_picture(open_for_decoding(open(sys.argv[2], "rb"), None))  # loads what is loaded once
before = status("VmRSS")
opened = open_for_decoding(open(sys.argv[1], "rb"), int(sys.argv[3]) or None)
load_picture(opened)
print((status("VmHWM") - before) / opened.peak_bytes)
"""


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
    large, small = tmp_path / "large", tmp_path / "small"
    picture = Image.linear_gradient("L").resize((3000, 2000)).convert("RGB")
    picture = Image.new("I;16", picture.size, 9000) if mode == "I;16" else picture.convert(mode)
    picture.save(large, fmt, **options)
    picture.crop((0, 0, 64, 64)).save(small, fmt, **options)
    command = [sys.executable, "-c", ESTIMATE, str(large), str(small), str(side)]
    share = float(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    assert share < 1.1


def peak_megabytes(path: Path, threads: int) -> int:
    command = [sys.executable, "-c", PEAK, str(path), str(threads)]
    return int(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def test_threads_share_the_memory_of_one_large_picture(tmp_path):
    path = tmp_path / "large.jpg"
    picture = Image.linear_gradient("L").resize((7000, 7000)).convert("RGB")
    picture.save(path, progressive=True, subsampling=0)  # 49 million pixels of three times 16 bits
    one, four = peak_megabytes(path, 1), peak_megabytes(path, 4)
    assert one > 200
    assert four < 1.5 * one
