"""Files that vanish or are damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.faults.fault import Fault, at_once
from benchmarks.faults.scene import Scene


def list_faults(scene: Scene) -> list[Fault]:
    return [
        Fault("index deleted", at_once(delete_index)),
        Fault("an index file cut short, then repair", at_once(cut_index_file)),
        Fault("an index file damaged, then repair", at_once(damage_index_file)),
    ]


def delete_index(scene: Scene) -> None:
    """Everything in the folder, which itself may be a disk of its own."""
    wait_for_index_files(scene)
    for entry in (scene.stack.var / "index").iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def cut_index_file(scene: Scene) -> None:
    """Replaced by a shorter one: to cut a file that a process has mapped would end that process."""
    file = scene.random.choice(wait_for_index_files(scene))
    replace_content(file, file.read_bytes()[: file.stat().st_size // 2])
    repair_index(scene)


def damage_index_file(scene: Scene) -> None:
    file = scene.random.choice(wait_for_index_files(scene))
    content = bytearray(file.read_bytes())
    content[scene.random.randrange(len(content))] ^= 0xFF
    replace_content(file, bytes(content))
    repair_index(scene)


def repair_index(scene: Scene) -> None:
    """As an operator does it. Processes that have a file open would not notice until the next one opens it."""
    scene.stack.spawn("manage.py", "index", "verify", "--repair").wait()


def wait_for_index_files(scene: Scene) -> list[Path]:
    """Those that are there: a young site has none, nor has one whose index is being rebuilt."""
    return scene.stack.wait_for(lambda: _list_index_files(scene.stack.var / "index"), "the index has files")


def _list_index_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)


def replace_content(file: Path, content: bytes) -> None:
    beside = file.with_name(f"{file.name}.new")
    beside.write_bytes(content)
    beside.replace(file)
