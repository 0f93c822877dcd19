"""A sample of the site's own photos as files, for choosing a model's precision on what it will see."""

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
from recommender.embedding.photo_files import FileLost, StorageTrouble, read


@contextmanager
def own_photos() -> Iterator[Path | None]:
    """A folder of clean pictures, no two of the same upload, chosen by their checksums; None if there are too few."""
    with TemporaryDirectory(prefix="mp-photos-") as name:
        folder = Path(name)
        yield folder if _fill(folder) >= ENOUGH else None


def _fill(folder: Path) -> int:
    ready = ListingImage.objects.filter(state=ListingImage.State.READY).order_by("sha256")
    if ready.values("sha256").distinct()[:ENOUGH].count() < ENOUGH:
        return 0
    rows = ready.values_list("sha256", "clean_file").iterator(chunk_size=WANTED)
    stored = 0
    for sha256, copies in islice(groupby(rows, itemgetter(0)), 2 * WANTED):  # some files may be lost
        with suppress(FileLost, StorageTrouble):
            (folder / f"{sha256}.jpg").write_bytes(read(default_storage, next(copies)[1]))
            stored += 1
        if stored == WANTED:
            break
    return stored
