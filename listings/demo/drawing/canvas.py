"""Parts of an item, painted back to front: an antialiased mask, a paint, and light that makes it round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from . import patterns
from .colours import RGB, Paint
from .shapes import Outline, Points

SUPERSAMPLING = 3

Array = npt.NDArray[np.floating]
Light = Callable[[Array, Array], Array]


def light_flat(u: Array, v: Array) -> Array:
    """Lit from above, hardly round; u and v run from 0 to 1 over the part, rightwards and downwards."""
    return 1.06 - 0.14 * v + 0 * u


def light_vertical_cylinder(u: Array, v: Array) -> Array:
    """Round about a vertical axis, lit from the left."""
    return 1.16 - 0.62 * np.abs(u - 0.34) ** 1.5 + 0.16 * np.exp(-(((u - 0.24) / 0.07) ** 2)) - 0.06 * v


def light_horizontal_cylinder(u: Array, v: Array) -> Array:
    """Round about a horizontal axis."""
    return 1.18 - 0.55 * np.abs(v - 0.3) ** 1.4 + 0 * u


def light_sphere(u: Array, v: Array) -> Array:
    """Round in both directions, with a soft highlight."""
    away = (u - 0.34) ** 2 + (v - 0.28) ** 2
    return 1.16 - 0.62 * away + 0.3 * np.exp(-away / 0.012)


def light_from_inside(u: Array, v: Array) -> Array:
    """Lit from inside."""
    return 1.04 + 0.3 * np.exp(-(((u - 0.5) / 0.32) ** 2) - ((v - 0.72) / 0.4) ** 2)


@dataclass(frozen=True, slots=True)
class Frame:
    """Item units to pixels: pixel = matrix @ item + offset."""

    matrix: tuple[tuple[float, float], tuple[float, float]]
    offset: tuple[float, float]

    def to_pixels(self, points: Points) -> Points:
        return points @ np.array(self.matrix).T + np.array(self.offset)

    @property
    def scale(self) -> float:
        return float(abs(np.linalg.det(np.array(self.matrix))) ** 0.5)

    def move_and_scale(self, x: float, y: float, scale: float) -> Frame:
        """The frame of something drawn smaller and elsewhere in the same item."""
        x, y = self.to_pixels(np.array([[x, y]]))[0]
        (a, b), (c, d) = self.matrix
        return Frame(((a * scale, b * scale), (c * scale, d * scale)), (float(x), float(y)))

    def texture_coefficients(self, left: int, top: int) -> tuple[float, ...]:
        """For `Image.transform`: from pixels of a patch at (left, top) to pixels of a texture."""
        inverse = np.linalg.inv(np.array(self.matrix))
        origin = inverse @ (np.array((left, top)) - np.array(self.offset)) - np.array((patterns.LEFT, patterns.TOP))
        (a, b), (c, d) = inverse * patterns.UNIT
        x, y = origin * patterns.UNIT
        return a, b, x, c, d, y


@dataclass(frozen=True, slots=True)
class Canvas:
    """A transparent layer of the photo's size and the frame parts are placed in."""

    layer: Image.Image
    frame: Frame

    def move_and_scale(self, x: float, y: float, scale: float = 1.0) -> Canvas:
        return replace(self, frame=self.frame.move_and_scale(x, y, scale))

    def paint_part(
        self,
        outline: Outline,
        paint: Paint | RGB,
        light: Light = light_flat,
        *,
        edge: float = 0.05,
        within: Outline | None = None,
        opacity: float = 1.0,
    ) -> None:
        """Paint an outline; `edge` is how far, in item units, its border is darkened; `within` cuts it to another."""
        bounds = self._find_bounds(outline)
        if bounds is None:
            return
        mask = self._draw_mask(outline, bounds)
        if within is not None:
            mask = ImageChops.multiply(mask, self._draw_mask(within, bounds))
        paint = paint if isinstance(paint, Paint) else Paint(paint)
        patch = self._light_patch(self._fill_patch(paint, bounds, mask.size), mask, light, edge)
        patch.putalpha(mask.point(lambda level: round(level * opacity)) if opacity < 1 else mask)
        self.layer.alpha_composite(patch, bounds[:2])

    def paint_glow(self, outline: Outline, colour: RGB, opacity: float, blur: float) -> None:
        """A soft patch of light or shade; `blur` in item units."""
        radius = blur * self.frame.scale
        bounds = self._find_bounds(outline, margin=round(2 * radius))
        if bounds is None:
            return
        mask = self._draw_mask(outline, bounds).filter(ImageFilter.GaussianBlur(radius))
        patch = Image.new("RGBA", mask.size, colour)
        patch.putalpha(mask.point(lambda level: round(level * opacity)))
        self.layer.alpha_composite(patch, bounds[:2])

    def _find_bounds(self, outline: Outline, margin: int = 0) -> tuple[int, int, int, int] | None:
        """The pixels the outline may touch, inside the layer."""
        clouds = [(self.frame.to_pixels(fill), 1.0) for fill in outline.fills]
        clouds += [
            (self.frame.to_pixels(stroke.points), max(stroke.start, stroke.end) * self.frame.scale / 2 + 1)
            for stroke in outline.strokes
        ]
        low = np.min([points.min(axis=0) - reach for points, reach in clouds], axis=0) - margin
        high = np.max([points.max(axis=0) + reach for points, reach in clouds], axis=0) + margin
        left, top = (max(0, int(value)) for value in low)
        right, bottom = (min(side, int(value) + 1) for side, value in zip(self.layer.size, high, strict=True))
        return (left, top, right, bottom) if right > left and bottom > top else None

    def _draw_mask(self, outline: Outline, bounds: tuple[int, int, int, int]) -> Image.Image:
        left, top, right, bottom = bounds
        s = SUPERSAMPLING
        mask = Image.new("L", ((right - left) * s, (bottom - top) * s))
        draw = ImageDraw.Draw(mask)
        corner = np.array((left, top))
        for fill in outline.fills:
            draw.polygon(((self.frame.to_pixels(fill) - corner) * s).ravel().tolist(), fill=255)
        for stroke in outline.strokes:
            points = (self.frame.to_pixels(stroke.points) - corner) * s
            _draw_stroke(draw, points, stroke.start * self.frame.scale * s, stroke.end * self.frame.scale * s)
        # Holes are cut last, or a fill or a stroke would close them again.
        for hole in outline.holes:
            draw.polygon(((self.frame.to_pixels(hole) - corner) * s).ravel().tolist(), fill=0)
        return mask.reduce(s)

    def _fill_patch(self, paint: Paint, bounds: tuple[int, int, int, int], size: tuple[int, int]) -> Image.Image:
        if paint.pattern == "plain":
            return Image.new("RGB", size, paint.colour)
        coefficients = self.frame.texture_coefficients(*bounds[:2])
        return patterns.draw_texture(paint).transform(
            size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR, fillcolor=paint.colour
        )

    def _light_patch(self, patch: Image.Image, mask: Image.Image, light: Light, edge: float) -> Image.Image:
        width, height = mask.size
        u = np.linspace(0, 1, width, dtype=np.float32)[None, :]
        v = np.linspace(0, 1, height, dtype=np.float32)[:, None]
        levels = np.broadcast_to(light(u, v), (height, width))
        radius = edge * self.frame.scale
        if radius >= 1:
            # A blurred mask falls off towards the outline, which looks like a surface that turns away.
            inside = np.asarray(mask.filter(ImageFilter.BoxBlur(radius)), dtype=np.float32) / 255
            levels = levels * (0.62 + 0.38 * np.minimum(1, inside * 1.05))
        lit = np.asarray(patch, dtype=np.float32) * levels[..., None]
        return Image.fromarray(np.minimum(lit, 255).astype(np.uint8))


def _draw_stroke(draw: ImageDraw.ImageDraw, points: Points, start: float, end: float) -> None:
    """Quads between neighbours and a disc at each point: no gap, whatever the curve."""
    widths = np.linspace(start, end, len(points)) / 2
    for (ax, ay), (bx, by), a, b in zip(points, points[1:], widths, widths[1:], strict=False):
        length = max(float(np.hypot(bx - ax, by - ay)), 1e-6)
        nx, ny = (by - ay) / length, (ax - bx) / length
        draw.polygon(
            (ax + nx * a, ay + ny * a, bx + nx * b, by + ny * b, bx - nx * b, by - ny * b, ax - nx * a, ay - ny * a),
            fill=255,
        )
    for (x, y), radius in zip(points, widths, strict=True):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
