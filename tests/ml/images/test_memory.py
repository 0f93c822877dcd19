"""Large pictures are decoded one at a time, so that a worker's memory does not grow with its threads."""

import subprocess
import sys
from pathlib import Path

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
