"""Draws what decoders made of the same pictures side by side, because an eye sees at once what figures only hint at."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from .kinds import Finding
from .views import SHOWN_SIDE, Refusal, Seen

CELL, CAPTION, GAP = SHOWN_SIDE, 34, 10
ACROSS = 3  # findings side by side, so that a sheet of many is not a ribbon
MOST = 600  # findings on a sheet; viewers do not open what is much larger
GROUND, INK = (128, 128, 128), (255, 255, 255)  # grey, on which white and black pictures both show their edges


def draw_sheet(findings: Sequence[Finding], path: Path) -> None:
    """Write, for each finding, its kind and file name, then ours and each reference's picture under its name."""
    shown = findings[:MOST]
    columns = max((len(finding.seen) for finding in shown), default=1)
    width, height = columns * (CELL + GAP) + 2 * GAP, CELL + CAPTION + GAP
    sheet = Image.new("RGB", (ACROSS * width, GAP + -(-len(shown) // ACROSS) * height), GROUND)
    for number, finding in enumerate(shown):
        row, column = divmod(number, ACROSS)
        _draw_finding(sheet, finding, (GAP + column * width, GAP + row * height))
    sheet.save(path)


def _draw_finding(sheet: Image.Image, finding: Finding, corner: tuple[int, int]) -> None:
    draw = ImageDraw.Draw(sheet)
    draw.text(corner, f"{finding.kind}: {finding.path.name}", INK)
    for column, (name, seen) in enumerate(finding.seen.items()):
        left, top = corner[0] + column * (CELL + GAP), corner[1]
        draw.text((left, top + CAPTION // 2), name if isinstance(seen, Refusal) else f"{name} {seen.size}", INK)
        _draw_seen(sheet, seen, (left, top + CAPTION))


def _draw_seen(sheet: Image.Image, seen: Seen, corner: tuple[int, int]) -> None:
    if isinstance(seen, Refusal):
        ImageDraw.Draw(sheet).multiline_text(corner, textwrap.fill(seen.reason, CELL // 7), INK)
        return
    picture = Image.fromarray(seen.pixels)
    scale = CELL / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    # Enlarged without smoothing, so that single pixels of tiny pictures can be told apart.
    method = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    sheet.paste(picture.resize(size, method), corner)
