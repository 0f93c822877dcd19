"""Files that vanish or are damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.faults.fault import Fault, at_once
from benchmarks.faults.scene import Scene


def list_faults(scene: Scene) -> list[Fault]:
    return [
        Fault("index deleted", at_once(delete_index)),
        Fault("an index file cut short", at_once(cut_index_file)),
        Fault("an index file damaged", at_once(damage_index_file)),
    ]


def delete_index(scene: Scene) -> None:
    """Everything in the folder, which itself may be a disk of its own."""
    for entry in (scene.stack.var / "index").iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def cut_index_file(scene: Scene) -> None:
    """Replaced by a shorter one: to cut a file that a process has mapped would end that process."""
    if file := choose_index_file(scene):
        half = file.read_bytes()[: file.stat().st_size // 2]
        replace_content(file, half)


def damage_index_file(scene: Scene) -> None:
    if file := choose_index_file(scene):
        content = bytearray(file.read_bytes())
        content[scene.random.randrange(len(content))] ^= 0xFF
        replace_content(file, bytes(content))


def choose_index_file(scene: Scene) -> Path | None:
    files = sorted(path for path in (scene.stack.var / "index").rglob("*") if path.is_file() and path.stat().st_size)
    return scene.random.choice(files) if files else None


def replace_content(file: Path, content: bytes) -> None:
    beside = file.with_name(f"{file.name}.new")
    beside.write_bytes(content)
    beside.replace(file)
