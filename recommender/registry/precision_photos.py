"""A sample of the site's own photos as files: a model's precision is chosen on pictures as it will see them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory

from django.core.files.storage import default_storage

from listings.models import ListingImage
from ml.exporting.agreement import ENOUGH, WANTED
from recommender.embedding.photo_files import FileLost, StorageTrouble, read_file


@contextmanager
def copy_precision_photos() -> Iterator[Path | None]:
    """A temporary folder of clean pictures, no two of the same upload, or None if the site has too few."""
    with TemporaryDirectory(prefix="mp-photos-") as name:
        folder = Path(name)
        yield folder if _copy_photos(folder) >= ENOUGH else None


def _copy_photos(folder: Path) -> int:
    """Copy up to WANTED photos. Their checksums choose them, so that every export of a site sees the same ones."""
    ready = ListingImage.objects.filter(state=ListingImage.State.READY).order_by("sha256")
    if ready.values("sha256").distinct()[:ENOUGH].count() < ENOUGH:
        return 0
    rows = ready.values_list("sha256", "clean_file").iterator(chunk_size=WANTED)
    copied = 0
    # Some files may be lost, so more rows are looked at than photos are wanted.
    for sha256, copies in islice(groupby(rows, itemgetter(0)), 2 * WANTED):
        with suppress(FileLost, StorageTrouble):
            (folder / f"{sha256}.jpg").write_bytes(read_file(default_storage, next(copies)[1]))
            copied += 1
        if copied == WANTED:
            break
    return copied
