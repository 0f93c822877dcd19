"""The photo: scene, shadow, item and the camera's own mark. Pure: the same words give the same picture."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from random import Random

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageFilter

from .backgrounds import SCENES, draw_scene
from .backpacks import draw_backpack
from .canvas import Canvas, Frame
from .chairs import draw_chair
from .colours import COLOURS, RGB, Look
from .dice import seeded_random
from .lamps import draw_lamp
from .patterns import PATTERNS
from .sneakers import draw_sneakers
from .strings import draw_guitar
from .tableware import draw_mug, draw_teapot
from .wheels import draw_bicycle

# Where items stand, as a share of the photo's height: below the horizon of every scene, so that it is on the floor.
GROUND = 0.82


@dataclass(frozen=True, slots=True)
class Kind:
    """How to draw it, and the room it takes in item units."""

    draw_item: Callable[[Canvas, Look, Random], None]
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class View:
    """How the camera is held; `aspect` narrows the item, `turn` is in degrees, light multiplies red, green and blue."""

    size: tuple[int, int] = (800, 1000)
    zoom: float = 1.0
    aspect: float = 1.0
    turn: float = 0.0
    shift: float = 0.0
    mirrored: bool = False
    light: tuple[float, float, float] = (1.0, 1.0, 1.0)


KINDS: dict[str, Kind] = {
    "mug": Kind(draw_mug, 2.0, 1.75),
    "teapot": Kind(draw_teapot, 2.6, 1.6),
    "lamp": Kind(draw_lamp, 1.7, 1.9),
    "chair": Kind(draw_chair, 1.7, 2.05),
    "bicycle": Kind(draw_bicycle, 3.2, 1.95),
    "guitar": Kind(draw_guitar, 1.3, 2.15),
    "backpack": Kind(draw_backpack, 1.8, 2.1),
    "sneaker": Kind(draw_sneakers, 2.8, 1.6),
}
BACKGROUNDS = tuple(SCENES)
VIEWS: dict[str, View] = {
    "front": View(),
    "square": View(size=(900, 900), zoom=0.98, shift=0.02, light=(1.02, 1.0, 0.95)),
    "mirrored": View(mirrored=True, aspect=0.93, turn=1.5, shift=-0.03, light=(0.97, 0.99, 1.02)),
    "close": View(size=(900, 900), zoom=1.3, turn=-3.0, light=(1.03, 1.01, 0.97)),
    "far": View(size=(1000, 800), zoom=0.82, shift=0.08, light=(0.95, 0.97, 1.0)),
    "tilted": View(turn=5.0, aspect=0.96, zoom=0.92, light=(1.04, 1.0, 0.93)),
}


def draw_photo(
    kind: str, variant: int, colour: str | RGB, pattern: str, background: str, view: str | View
) -> Image.Image:
    """One photo of one item, an RGB image of the view's size.

    `kind` and `variant` alone decide the item's form: changing `colour` (a name of COLOURS or red, green, blue),
    `pattern`, `background` or `view` shows the same item otherwise. The pixels depend on nothing else but the versions
    of Pillow and numpy. Raises `KeyError` for a word that is not in KINDS, COLOURS, PATTERNS, BACKGROUNDS or VIEWS.
    """
    if pattern not in PATTERNS:
        raise KeyError(pattern)
    what = KINDS[kind]
    camera = VIEWS[view] if isinstance(view, str) else view
    look = Look(COLOURS[colour] if isinstance(colour, str) else colour, pattern)
    photo = _draw_backdrop(background, camera, seeded_random(f"{background} behind {kind} {variant}"))
    layer = Image.new("RGBA", camera.size)
    frame = _frame_item(what, camera)
    what.draw_item(Canvas(layer, frame), look, seeded_random(f"{kind} {variant}"))
    # The shadow is cast before the item is pasted, so that it falls on the scene and not on the item.
    _cast_shadow(photo, layer.getchannel("A"), frame)
    photo.paste(layer, mask=layer)
    return _apply_camera_effects(photo, camera.light)


def _frame_item(kind: Kind, view: View) -> Frame:
    width, height = view.size
    scale = view.zoom * min(0.8 * width / kind.width, 0.7 * height / kind.height)
    turn = math.radians(view.turn)
    # A negative scale mirrors form and pattern. Light is laid over pixels, so it still comes from the left.
    x = -view.aspect * scale if view.mirrored else view.aspect * scale
    cos, sin = math.cos(turn), math.sin(turn)
    ground = GROUND + 0.12 * max(0.0, view.zoom - 1)
    return Frame(((x * cos, -scale * sin), (x * sin, scale * cos)), (width * (0.5 + view.shift), height * ground))


def _draw_backdrop(name: str, view: View, rng: Random) -> Image.Image:
    """The scene, nearer when the camera is, mirrored when it stands on the other side."""
    photo = draw_scene(name, view.size, rng)
    if view.zoom > 1:
        width, height = view.size
        cut_x, cut_y = (side * (1 - 1 / view.zoom) / 2 for side in view.size)
        photo = photo.resize(view.size, Image.Resampling.BILINEAR, (cut_x, cut_y, width - cut_x, height - cut_y))
    return photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if view.mirrored else photo


def _cast_shadow(photo: Image.Image, alpha: Image.Image, frame: Frame) -> None:
    """On the floor: the silhouette laid down to the right, and a darker touch where it stands."""
    # A quarter of the size is enough for what is blurred afterwards, and sixteen times less work.
    small = alpha.reduce(4)
    width, height = small.size
    ground = frame.offset[1] / 4
    flat, slant = 0.2, 0.9
    laid = small.transform(
        small.size,
        Image.Transform.AFFINE,
        (1, slant / flat, -slant / flat * ground, 0, 1 / flat, ground - ground / flat),
        Image.Resampling.BILINEAR,
    ).filter(ImageFilter.GaussianBlur(width / 55))
    touch = Image.new("L", small.size)
    strip = small.crop((0, max(0, int(ground - height * 0.03)), width, min(height, int(ground + 2))))
    touch.paste(strip.resize((width, max(2, int(height * 0.02)))), (0, int(ground - height * 0.006)))
    touch = touch.filter(ImageFilter.GaussianBlur(width / 90))
    shadow = ImageChops.add(laid.point(lambda level: level * 0.42), touch.point(lambda level: level * 0.55))
    photo.paste((26, 20, 24), mask=shadow.resize(photo.size, Image.Resampling.BILINEAR))


@lru_cache(maxsize=8)
def _vignette_and_grain(size: tuple[int, int]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Darker corners as a factor, and grain to add; both (height, width, 1)."""
    x = np.linspace(-1, 1, size[0], dtype=np.float32)[None, :, None]
    y = np.linspace(-1, 1, size[1], dtype=np.float32)[:, None, None]
    # The seed is the same for every photo, because all are meant to come from one camera.
    grain = np.random.default_rng(7).standard_normal((size[1], size[0], 1), dtype=np.float32) * 2.2
    return 1.02 - 0.11 * (x**2 + y**2), grain


def _apply_camera_effects(photo: Image.Image, light: tuple[float, float, float]) -> Image.Image:
    corners, grain = _vignette_and_grain(photo.size)
    levels = np.asarray(photo, dtype=np.float32) * corners * np.array(light, dtype=np.float32) + grain
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
