"""What a site's web process and embedding worker hold, each with its decoder process, after files at the limits."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

from benchmarks.site.filled import ENVIRON
from tests.servers.stack import Stack
from tests.servers.visitor import Visitor

from .memory import Watch

PATIENCE_SECONDS = 180
PHOTOS_PER_LISTING = 10


def measure_site(files: Mapping[str, Path], crop: str) -> dict[str, dict[str, object]]:
    """Each file is searched by, with and without a crop, and uploaded; the rows say what was held at most meanwhile."""
    with ExitStack() as undo:
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="mp-bench-")))
        stack = undo.enter_context(Stack(folder / "var", web=1, embedding=1, demo=20, environ=ENVIRON))
        admin, listing = stack.admin(), 0
        rows = {"at rest": _measure(stack, admin, listing, None, ())}
        for number, (name, path) in enumerate(files.items()):
            if number % PHOTOS_PER_LISTING == 0:
                listing = admin.post("/api/v1/listings/", {"title": "Large", "price": "5"}).expect(201).json()["id"]
            rows[name] = _measure(stack, admin, listing, path.read_bytes(), ({}, {"crop": crop}))
    return rows


def _measure(
    stack: Stack, admin: Visitor, listing: int, data: bytes | None, searches: Iterable[dict[str, str]]
) -> dict[str, object]:
    statuses: list[str] = []
    with Watch({"web": stack.web_workers(), "embedding": [stack.pids()["embedding-1"]]}) as watch:
        for form in searches:
            files = [("image", "photo", data or b"")]
            answer = admin.post("/api/v1/search/image/", form=form, files=files, timeout=PATIENCE_SECONDS)
            statuses.append(str(answer.status))
        if data:
            path, sent = f"/api/v1/listings/{listing}/images/", [("images", "photo", data)]
            statuses.append(str(admin.post(path, files=sent, timeout=PATIENCE_SECONDS).status))
            stack.wait_for(lambda: _are_photos_settled(admin, listing), "the photo is settled", PATIENCE_SECONDS)
    figures: dict[str, object] = {"answers": " ".join(statuses)}
    for name, peaks in watch.peaks.items():
        figures |= {f"{name}_mb": peaks.alone, f"{name}_together": peaks.together}
    return figures


def _are_photos_settled(admin: Visitor, listing: int) -> bool:
    photos = admin.get(f"/api/v1/listings/{listing}/").expect(200).json()["images"]
    return all(photo["state"] != "new" for photo in photos)
