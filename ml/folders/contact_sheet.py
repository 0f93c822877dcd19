"""What a search found, as one picture: the query large on the left, the answers beside it, best first.

Sizes are in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ml.atomic_files import open_atomic_file
from ml.errors import MlError
from ml.images import PhotoRefused, decode_file

PAGE, CARD, INK, FAINT, ACCENT = "#f3f2ef", "#ffffff", "#1d1d1f", "#77757a", "#1f6feb"
MARGIN, GAP, PADDING, RADIUS = 40, 20, 10, 8
TILE, QUERY = 200, 420
COLUMNS = 5


@dataclass(frozen=True)
class Answer:
    """One tile: its picture, where it can be read, and what is written below it."""

    picture: Path
    rank: int
    similarity: float
    label: str = ""


class SheetError(MlError):
    """A contact sheet cannot be written; the message names the file."""


def write_sheet(path: Path, query: Path, answers: Sequence[Answer], subtitle: str) -> None:
    """Draw a sheet and save it as PNG, whatever the name of the file.

    Raises:
        SheetError: the file cannot be written.
    """
    sheet = draw_sheet(query, answers, subtitle)
    try:
        with open_atomic_file(path) as file:
            sheet.save(file, "PNG")
    except OSError as exc:
        raise SheetError(f"{path} cannot be written: {exc.strerror}.") from exc


def draw_sheet(query: Path, answers: Sequence[Answer], subtitle: str) -> Image.Image:
    """The sheet as an RGB picture; `subtitle` stands below the query's name."""
    columns = min(COLUMNS, len(answers))
    card = TILE + 2 * PADDING, TILE + 2 * PADDING + _caption_height(answers)
    rows = math.ceil(len(answers) / columns)
    grid = columns * (card[0] + GAP) - GAP, rows * (card[1] + GAP) - GAP
    left = MARGIN + QUERY + 2 * PADDING + 2 * GAP
    height = max(grid[1], QUERY + 2 * PADDING + 70)
    sheet = Image.new("RGB", (left + grid[0] + MARGIN, height + 2 * MARGIN), PAGE)
    _draw_query(sheet, query, subtitle)
    for place, answer in enumerate(answers):
        row, column = divmod(place, columns)
        _draw_answer(sheet, answer, (left + column * (card[0] + GAP), MARGIN + row * (card[1] + GAP)), card)
    return sheet


def _draw_query(sheet: Image.Image, query: Path, subtitle: str) -> None:
    draw = ImageDraw.Draw(sheet)
    side = QUERY + 2 * PADDING
    draw.rounded_rectangle((MARGIN, MARGIN, MARGIN + side, MARGIN + side), RADIUS, CARD, ACCENT, 3)
    _paste_picture_or_note(sheet, query, (MARGIN + PADDING, MARGIN + PADDING), QUERY)
    below = MARGIN + side + 14
    draw.text((MARGIN, below), _shorten_text(draw, query.name, 24, side), INK, _load_font(24))
    draw.text((MARGIN, below + 34), _shorten_text(draw, subtitle, 17, side), FAINT, _load_font(17))


def _draw_answer(sheet: Image.Image, answer: Answer, corner: tuple[int, int], card: tuple[int, int]) -> None:
    draw = ImageDraw.Draw(sheet)
    x, y = corner
    draw.rounded_rectangle((x, y, x + card[0], y + card[1]), RADIUS, CARD)
    _paste_picture_or_note(sheet, answer.picture, (x + PADDING, y + PADDING), TILE)
    below = y + PADDING + TILE + 8
    draw.text((x + PADDING, below), f"{answer.rank}", INK, _load_font(20))
    draw.text((x + PADDING + TILE, below), f"{answer.similarity:.4f}", ACCENT, _load_font(20), anchor="ra")
    if answer.label:
        text = _shorten_text(draw, answer.label, 15, TILE, head=0)
        draw.text((x + PADDING, below + 28), text, FAINT, _load_font(15))


def _caption_height(answers: Sequence[Answer]) -> int:
    return 50 if any(answer.label for answer in answers) else 28


def _paste_picture_or_note(sheet: Image.Image, path: Path, corner: tuple[int, int], side: int) -> None:
    """The whole picture in the middle of a square; a note where it cannot be read any more."""
    try:
        picture = decode_file(path, side)
    except (OSError, PhotoRefused):
        middle = corner[0] + side // 2, corner[1] + side // 2
        ImageDraw.Draw(sheet).text(middle, "not there any more", FAINT, _load_font(15), anchor="mm")
        return
    scale = side / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    scaled = picture.resize(size, Image.Resampling.LANCZOS)
    sheet.paste(scaled, (corner[0] + (side - size[0]) // 2, corner[1] + (side - size[1]) // 2))


def _shorten_text(draw: ImageDraw.ImageDraw, text: str, size: int, width: int, head: float = 0.5) -> str:
    """The text in one line, or as much as `width` pixels hold: this share from the beginning, the rest from the end."""
    short = text = " ".join(text.split())
    keep = len(text)
    while draw.textlength(short, _load_font(size)) > width and keep > 1:
        keep -= 1
        first = int(keep * head)
        short = f"{text[:first]}…{text[len(text) - keep + first :]}"
    return short


@cache
def _load_font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
