"""The vectors of every picture of a folder, in shards, so that a run that was killed goes on where it was."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ml.atomic_files import open_atomic_file, remove_files_and_empty_folder
from ml.inference.embedder import Embedder

from .extraction import extract_vectors
from .photo_set import PhotoSet
from .picture_files import Refusal, list_files, looks_like_a_picture, write_refusals
from .vector_folder import (
    IDS,
    MANIFEST,
    REFUSED,
    VECTORS,
    Manifest,
    ModelMark,
    Picture,
    VectorFolder,
    VectorFolderError,
    write_picture_list,
)
from .vector_shards import Shard, fingerprint_files

SHARDS = "shards"
# Only shards have such names, and nothing else is deleted: the folder may hold files of others.
OWN = re.compile(r"[0-9a-f]{64}\.npz")
SHARD_PICTURES = 1024


@dataclass(frozen=True)
class ExtractedFolder:
    """What a folder holds now, how many pictures were embedded for it by this run, and whether it wrote anything."""

    manifest: Manifest
    embedded: int
    changed: bool = True


def list_pictures(folder: Path) -> tuple[list[Picture], list[Refusal]]:
    """Every file below `folder` that is a picture by its name or its content, and those that were not opened.

    Raises:
        FolderError: `folder` is no folder.
    """
    files, refused = list_files(folder)
    return [Picture(file.stem, str(file)) for file in files if looks_like_a_picture(folder / file)], refused


def list_labelled_pictures(photos: PhotoSet, folder: Path) -> list[Picture]:
    """Labelled pictures, in their order; one that lies outside `folder` keeps its absolute path."""
    return [
        Picture(path.stem, str(path.relative_to(folder) if path.is_relative_to(folder) else path.absolute()), label)
        for path, label in zip(photos.images, photos.labels, strict=True)
    ]


def embed_folder_to_disk(
    folder: Path, pictures: Sequence[Picture], target: Path, embedder: Embedder, refused: Sequence[Refusal] = ()
) -> ExtractedFolder:
    """Write the vectors of `pictures`, whose paths are relative to `folder`, into `target`; `refused` is listed too.

    Raises:
        VectorFolderError: there are no pictures, none can be read, or `target` cannot be written.
    """
    if not pictures:
        raise VectorFolderError(f"{folder} holds no pictures.")
    paths = [folder / picture.path for picture in pictures]
    mark = ModelMark.of_embedder(embedder)
    parts = [paths[start : start + SHARD_PICTURES] for start in range(0, len(paths), SHARD_PICTURES)]
    names = [fingerprint_files(part, mark) for part in parts]
    made_of = hashlib.sha256("\0".join([*names, *(picture.label for picture in pictures)]).encode()).hexdigest()
    if done := _read_matching_manifest(target, made_of):
        return ExtractedFolder(done, 0, changed=False)
    files = [target / SHARDS / f"{name}.npz" for name in names]
    try:
        embedded = _make_missing_shards(parts, files, embedder)
        kept, unusable = _collect_outcomes(pictures, files)
        write_refusals(target / REFUSED, [*refused, *unusable])
        if not kept:
            raise VectorFolderError(f"None of the pictures in {folder} can be used; see {target / REFUSED}.")
        manifest = Manifest(
            model=embedder.version,
            sha256=mark.sha256,
            dim=mark.dim,
            size=mark.size,
            n=len(kept),
            refused=len(refused) + len(unusable),
            folder=str(folder.resolve()),
            pictures=made_of,
        )
        # A manifest says that the folder is complete, so it is deleted before other files change, and written last.
        (target / MANIFEST).unlink(missing_ok=True)
        _write_joined_vectors(target / VECTORS, files, (manifest.n, manifest.dim))
        write_picture_list(target / IDS, kept)
        manifest.write(target)
        remove_files_and_empty_folder(target / SHARDS, OWN)
    except OSError as exc:
        raise VectorFolderError(f"{target} cannot be written: {exc.strerror}.") from exc
    return ExtractedFolder(manifest, embedded)


def _read_matching_manifest(target: Path, made_of: str) -> Manifest | None:
    try:
        manifest = VectorFolder.open(target).manifest
    except VectorFolderError:
        return None
    return manifest if manifest.pictures == made_of else None


def _make_missing_shards(parts: Sequence[Sequence[Path]], files: Sequence[Path], embedder: Embedder) -> int:
    """Make the shards that are not there; how many pictures were embedded."""
    embedded = 0
    for number, (part, file) in enumerate(zip(parts, files, strict=True), 1):
        file.parent.mkdir(parents=True, exist_ok=True)
        if Shard.read_if_whole(file) is None:
            Shard.from_extraction(extract_vectors(part, embedder, title=f"part {number} of {len(files)}"), part).write(
                file
            )
            embedded += len(part)
    return embedded


def _collect_outcomes(pictures: Sequence[Picture], files: Sequence[Path]) -> tuple[list[Picture], list[Refusal]]:
    """The pictures that have vectors, in the order of their rows, and why the others have none."""
    kept: list[Picture] = []
    refused: list[Refusal] = []
    for start, file in zip(range(0, len(pictures), SHARD_PICTURES), files, strict=True):
        shard = Shard.load(file)
        kept += [pictures[start + i] for i in shard.kept.tolist()]
        pairs = zip(shard.refused.tolist(), shard.reasons.tolist(), strict=True)
        refused += [Refusal(pictures[start + i].path, reason) for i, reason in pairs]
    return kept, refused


def _write_joined_vectors(path: Path, files: Iterable[Path], shape: tuple[int, int]) -> None:
    """One `.npy` file from all shards, one in memory at a time."""
    header = {"descr": np.dtype(np.float16).str, "fortran_order": False, "shape": shape}
    with open_atomic_file(path) as out:
        np.lib.format.write_array_header_1_0(out, header)
        for file in files:
            out.write(Shard.load(file).vectors.tobytes())
