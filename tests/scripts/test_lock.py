"""requirements.lock holds what requirements.txt pins, with hashes, and nothing that would bind it to an index."""

import re

import pytest

from scripts.lock import BESIDE_TORCH, LOCK, REQUIREMENTS, keep_what_any_build_needs, read_name

ENTRIES = re.split(r"^(?=[^\s#])", LOCK.read_text(), flags=re.MULTILINE)[1:]
PIN = re.compile(r"([\w.-]+)(?:\[\w+\])?==(\S+)")
PINNED = [match.groups() for line in REQUIREMENTS.read_text().splitlines() if (match := PIN.match(line))]


def normalise(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_line_of_the_requirements_is_a_pin_or_a_comment():
    lines = [line for line in REQUIREMENTS.read_text().splitlines() if not line.startswith("#")]
    assert len(lines) == len(PINNED)


@pytest.mark.parametrize(("name", "version"), PINNED)
def test_a_pin_is_in_the_lock_at_its_version_unless_it_stands_beside_torch(name, version):
    locked = [entry.split()[0].partition("==")[2] for entry in ENTRIES if read_name(entry) == normalise(name)]
    expected = [] if name in BESIDE_TORCH else [version]
    assert locked == expected, "requirements.txt has changed since the lock was written: `make lock`"


def test_every_entry_is_a_pin_with_hashes_and_names_no_place_to_take_it_from():
    for entry in ENTRIES:
        first, *hashes = entry.replace("\\\n", "").splitlines()[0].split("--hash=")
        assert re.fullmatch(r"[a-z0-9-]+==[\w.]+( ; .*)?", first.strip()), entry
        assert hashes, entry
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one.strip()) for one in hashes), entry
    assert "//" not in LOCK.read_text()


def test_torch_what_needs_it_and_what_only_graphics_cards_need_are_left_out():
    lines = ["sympy==1.14.0 \\\n    --hash=sha256:1\n"]
    others = [
        "torch==2.13.0 \\\n    --hash=sha256:2\n",
        "nvidia-nvtx==13.0 ; sys_platform == 'linux' \\\n    --hash=sha256:3\n",
    ]
    others += [
        "cuda-bindings==13.5.0\n",
        "triton==3.7.1\n",
        "torchvision==0.28.0\n",
        "pytorch-metric-learning==2.9.0\n",
    ]
    assert keep_what_any_build_needs("".join(others[:3] + lines + others[3:])) == lines[0]
