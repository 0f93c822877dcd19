"""Makes embeddings of real photos once and keeps them in `var/`; the rows of the index benchmark are made from them.

65,000 pictures of things and animals and 5,398 photos of clothes where the shared data is at hand; else the demo
catalogue's drawings. `python -m benchmarks.index.embeddings` makes them, in a process of its own, so that
neither torch nor OpenVINO takes memory of the one that measures.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from zipfile import ZipFile

import numpy as np

from benchmarks.site.photos import load_or_draw_photos
from ml.folders.vector_folder import Halves, Picture, VectorFolder, VectorFolderError
from ml.recipe import file_sha256

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "var" / "benchmarks"
DATA = ROOT.parent / "shared" / "data"
PHOTOS = DATA / "clothing" / "images"
ZIPS = tuple(DATA / f"tiny-imagenet-64px-{number}.zip" for number in (1, 2))
WEIGHTS = ROOT / "ml" / "starter" / "weights.safetensors"
DRAWINGS = 6_000


@dataclass(frozen=True)
class Embeddings:
    """`vectors` float16[n, dim] of length 1, and in words what the pictures show."""

    source: str
    vectors: Halves

    @cached_property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.vectors.tobytes()).hexdigest()[:16]


def load_embeddings() -> Embeddings:
    """Read the embeddings; where there are none yet, they are made first, which takes minutes."""
    expected = _count_expected()
    if any(_open_vectors(name, count) is None for name, count in expected.items()):
        print(f"embedding {sum(expected.values()):,} pictures …", flush=True)
        subprocess.run([sys.executable, "-m", "benchmarks.index.embeddings"], cwd=ROOT, check=True)
    found = {name: vectors for name, count in expected.items() if (vectors := _open_vectors(name, count)) is not None}
    if missing := expected.keys() - found.keys():
        raise SystemExit(f"index: {', '.join(missing)} could not be embedded.")
    words = {"clothing": "photos of clothes", "tiny": "pictures of things", "drawings": "drawings, no real photos"}
    source = ", ".join(f"{len(vectors):,} {words[name]}" for name, vectors in found.items())
    return Embeddings(source, np.concatenate(list(found.values())))


def _count_expected() -> dict[str, int]:
    """How many pictures there are of each set at hand; drawings stand in where there is none."""
    expected = {}
    if PHOTOS.is_dir():
        expected["clothing"] = sum(1 for _ in PHOTOS.glob("*.jpg"))
    if all(path.is_file() for path in ZIPS):
        expected["tiny"] = len(_list_zipped_pictures())
    return expected or {"drawings": DRAWINGS}


def _open_vectors(name: str, count: int) -> Halves | None:
    """The vectors of a set, None unless today's weights have embedded all of it."""
    try:
        folder = VectorFolder.open(_locate_folder(name))
    except VectorFolderError:
        return None
    return folder.vectors if folder.manifest.n + folder.manifest.refused == count else None


def _locate_folder(name: str) -> Path:
    return KEPT / "embeddings" / file_sha256(WEIGHTS)[:16] / name


def _list_zipped_pictures() -> list[tuple[str, Path]]:
    """Every picture of the zip files in the order of names, with the file that holds it."""
    found = []
    for path in ZIPS:
        with ZipFile(path) as archive:
            found += [(name, path) for name in archive.namelist() if name.endswith(".webp")]
    return sorted(found)


def _unpack_pictures(folder: Path) -> list[str]:
    """Unpack every picture below `folder`. Those that are there stay, so that a killed run can go on."""
    members = _list_zipped_pictures()
    for path in ZIPS:
        with ZipFile(path) as archive:
            for name, holder in members:
                if holder == path and not (folder / name).exists():
                    archive.extract(name, folder)
    return [name for name, _ in members]


def _draw_pictures(folder: Path) -> list[str]:
    names = [f"{number:05d}.jpg" for number in range(DRAWINGS)]
    for name, data in zip(names, load_or_draw_photos(DRAWINGS), strict=True):
        (folder / name).write_bytes(data)
    return names


def main() -> None:
    from ml.exporting.model_source import load_model
    from ml.folders.folder_extraction import embed_folder_to_disk
    from ml.inference.cores import choose_stream_count

    embedder = load_model("starter", parallel=choose_stream_count())

    def embed_pictures(name: str, folder: Path, files: Sequence[str]) -> None:
        embed_folder_to_disk(folder, [Picture(Path(file).stem, file) for file in files], _locate_folder(name), embedder)

    for name, count in _count_expected().items():
        if _open_vectors(name, count) is not None:
            continue
        if name == "clothing":
            embed_pictures(name, PHOTOS, sorted(path.name for path in PHOTOS.glob("*.jpg")))
        elif name == "tiny":
            pictures = KEPT / "tiny-imagenet"
            embed_pictures(name, pictures, _unpack_pictures(pictures))
            shutil.rmtree(pictures)
        else:
            with tempfile.TemporaryDirectory(prefix="mp-bench-") as folder:
                embed_pictures(name, Path(folder), _draw_pictures(Path(folder)))


if __name__ == "__main__":
    main()
