# Copyright (c) mmdefusion authors. All rights reserved.
"""A drawn street at dusk, seen by a colour camera and by a thermal one.

Every object is drawn twice: with its reflectance for the visible image and with its temperature for the infrared one.
The visible image is then reflectance times illumination (dim dusk, pools of light under the lamps) plus what shines of
itself, with glare, exposure and noise; the infrared image is the temperature, slightly blurred, with sensor noise.
So each image shows what the other misses: colours, texture, markings and writing here, people in the dark there.
"""

from __future__ import annotations

import cv2
import numpy as np

# Drawn at twice the size and reduced at the end, which smooths all edges.
SUPERSAMPLING = 2
# The scene is laid out on a canvas of these units (width, height) and scaled to the size asked for.
CANVAS = (640, 480)
HORIZON = 215
VANISHING_X = 330
SKY, STONE, ASPHALT, GLASS, LEAVES = 0.06, 0.34, 0.42, 0.22, 0.30


class _Canvas:
    """Reflectance, own light and temperature of the scene, drawn in parallel."""

    def __init__(self, scale: float) -> None:
        self.scale = scale
        width, height = (round(side * scale) for side in CANVAS)
        self.reflectance = np.zeros((height, width, 3), np.float32)
        self.glow = np.zeros((height, width, 3), np.float32)
        self.heat = np.full((height, width), SKY, np.float32)

    def _points(self, points) -> np.ndarray:
        return np.rint(np.asarray(points, np.float64) * self.scale).astype(np.int32)

    def polygon(self, points, color, heat, glow=(0, 0, 0)) -> None:
        """Fill a polygon given in canvas units; colours are BGR in [0, 1]."""
        points = self._points(points)
        for layer, value in ((self.reflectance, color), (self.glow, glow), (self.heat, heat)):
            cv2.fillPoly(layer, [points], value)

    def box(self, x0, y0, x1, y1, color, heat, glow=(0, 0, 0)) -> None:
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], color, heat, glow)

    def ellipse(self, x, y, rx, ry, color, heat, glow=(0, 0, 0)) -> None:
        angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        self.polygon(np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1), color, heat, glow)

    def text(self, words, x, y, height, color) -> None:
        """Write glowing letters that have no temperature of their own."""
        size = height * self.scale / 22
        origin = tuple(int(v) for v in self._points((x, y)))
        thickness = max(1, round(1.6 * size))
        mask = np.zeros(self.heat.shape, np.uint8)
        cv2.putText(mask, words, origin, cv2.FONT_HERSHEY_SIMPLEX, size, 255, thickness, cv2.LINE_AA)
        self.glow += (mask[..., None] / np.float32(255)) * np.asarray(color, np.float32)


def draw_street_scene(size: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the registered pair.

    Args:
        size: Height and width in pixels; the scene is laid out for 3 : 4.
        seed: Seed of textures, windows and noise.

    Returns:
        Visible and infrared image, each (H, W, 3) BGR uint8; the infrared one has three equal channels.
    """
    rng = np.random.default_rng(seed)
    canvas = _Canvas(SUPERSAMPLING * max(size[0] / CANVAS[1], size[1] / CANVAS[0]))
    _draw_sky(canvas, rng)
    _draw_buildings(canvas, rng)
    _draw_street(canvas, rng)
    _draw_trees(canvas, rng)
    for x, base, height in ((205, 330, 170), (455, 330, 170), (268, 262, 85), (395, 262, 85)):
        _draw_lamp(canvas, x, base, height)
    _draw_car(canvas, 372, 262, 0.42, (0.30, 0.30, 0.32), headlights=True)
    _draw_car(canvas, 250, 292, 0.62, (0.12, 0.14, 0.45), headlights=False)
    _draw_car(canvas, 408, 372, 1.25, (0.42, 0.26, 0.10), headlights=True)
    for x, base, height, color in (
        (180, 345, 88, (0.10, 0.10, 0.12)), (100, 400, 120, (0.06, 0.06, 0.07)), (300, 268, 34, (0.2, 0.2, 0.3)),
        (520, 335, 84, (0.12, 0.10, 0.08)), (548, 340, 90, (0.10, 0.16, 0.30)), (222, 283, 46, (0.08, 0.08, 0.09)),
    ):  # fmt: skip
        _draw_person(canvas, x, base, height, color)
    visible, infrared = _expose(canvas, rng), _thermal(canvas, rng)
    return _finish(visible, size, rng, 0.012), _finish(np.repeat(infrared[..., None], 3, axis=2), size, None, 0)


def _finish(image: np.ndarray, size: tuple[int, int], rng: np.random.Generator | None, noise: float) -> np.ndarray:
    image = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    if rng is not None:
        image = image + noise * rng.standard_normal(image.shape)
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def _noise(shape: tuple[int, int], cell: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth random field of zero mean and unit spread whose features are about ``cell`` pixels wide."""
    small = rng.standard_normal((max(2, int(shape[0] / cell)), max(2, int(shape[1] / cell)))).astype(np.float32)
    return cv2.resize(small, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)


def _draw_sky(canvas: _Canvas, rng: np.random.Generator) -> None:
    height, width = canvas.heat.shape
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None, None] * CANVAS[1] / HORIZON
    top, low = np.array([0.42, 0.22, 0.13], np.float32), np.array([0.38, 0.50, 0.86], np.float32)
    sky = top + (low - top) * np.clip(y, 0, 1) ** 2.2
    clouds = np.clip(_noise((height, width), 70 * canvas.scale / 2, rng), 0, 2)[..., None]
    band = np.exp(-(((y - 0.6) / 0.25) ** 2))
    canvas.glow[:] = sky * 0.62 + 0.10 * clouds * band * np.array([0.5, 0.6, 1.0], np.float32)


def _draw_buildings(canvas: _Canvas, rng: np.random.Generator) -> None:
    """Two rows of houses whose edges run to the vanishing point, with lit and dark windows."""
    rows = (
        (-40, ((0, 0.42, 20), (0.42, 0.66, 60), (0.66, 0.82, 30), (0.82, 0.93, 90))),
        (700, ((0, 0.35, 50), (0.35, 0.60, 0), (0.60, 0.80, 70), (0.80, 0.93, 40))),
    )
    canvas.box(300, 150, 366, HORIZON + 4, (0.20, 0.20, 0.22), STONE - 0.08)
    for near_x, houses in rows:
        for start, end, top in reversed(houses):
            tone = np.array([0.26, 0.30, 0.38]) * rng.uniform(0.7, 1.2) + rng.uniform(-0.04, 0.04, 3)
            heat = STONE + rng.uniform(-0.05, 0.05)
            _wall(canvas, near_x, (start, end), (top, 400), (0, 1), tuple(tone), heat)
            for row in np.arange(0.08, 0.62, 0.15):
                for column in np.arange(0.08, 0.9, 0.2):
                    span = [start + (end - start) * part for part in (column, column + 0.11)]
                    lit = rng.random() < 0.4
                    light = np.array([0.35, 0.62, 0.85]) * rng.uniform(0.5, 1.0) if lit else np.zeros(3)
                    warmth = GLASS + (0.10 if lit else 0)
                    _wall(canvas, near_x, span, (top, 400), (row, row + 0.09), (0.05, 0.05, 0.05), warmth, light)
    _wall(canvas, -40, (0.14, 0.40), (20, 400), (0.66, 0.74), (0.1, 0.1, 0.1), STONE - 0.06, (0.30, 0.12, 0.05))
    canvas.text('CAFE', 58, 262, 22, (0.55, 0.9, 1.0))
    _wall(canvas, -40, (0.15, 0.30), (20, 400), (0.77, 0.93), (0.1, 0.1, 0.1), GLASS + 0.12, (0.30, 0.48, 0.62))
    canvas.text('HOTEL', 520, 168, 20, (0.35, 0.25, 1.0))


def _wall(canvas, near_x, span, heights, rows, color, heat, glow=(0, 0, 0)) -> None:
    """Fill a part of a facade: ``span`` along the street (0 near, 1 far), ``rows`` from the roof (0) to the ground."""
    points = []
    for along, row in ((span[0], rows[0]), (span[1], rows[0]), (span[1], rows[1]), (span[0], rows[1])):
        y = heights[0] + (heights[1] - heights[0]) * row
        points.append((near_x + (VANISHING_X - near_x) * along, y + (HORIZON - y) * along))
    canvas.polygon(points, color, heat, tuple(float(v) for v in glow))


def _draw_street(canvas: _Canvas, rng: np.random.Generator) -> None:
    width, height = CANVAS
    far = HORIZON + 2
    canvas.polygon([(-300, height), (322, far), (338, far), (940, height)], (0.30, 0.31, 0.33), STONE)
    canvas.polygon([(-60, height), (325, far), (335, far), (700, height)], (0.16, 0.16, 0.16), ASPHALT)
    for edge in (-50, 690):
        inner = edge + (14 if edge < 0 else -14)
        line = [(edge, height), (VANISHING_X, far), (inner, height)]
        canvas.polygon(line, (0.75, 0.75, 0.75), ASPHALT - 0.015)
    for near in (0.02, 0.24, 0.42, 0.56, 0.67, 0.76, 0.83):
        along = (near, near + 0.55 * (1 - near) * 0.22)
        ys = [height + (far - height) * part for part in along]
        halves = [7 * (1 - part) for part in along]
        xs = [318 + (VANISHING_X - 318) * part for part in along]
        corners = [(xs[0] - halves[0], ys[0]), (xs[1] - halves[1], ys[1])]
        corners += [(xs[1] + halves[1], ys[1]), (xs[0] + halves[0], ys[0])]
        canvas.polygon(corners, (0.8, 0.8, 0.8), ASPHALT - 0.015)
    # Asphalt and walls have grain in the light that falls on them, hardly any in their temperature.
    shape = canvas.heat.shape
    grain = 0.13 * _noise(shape, 1.5, rng) + 0.10 * _noise(shape, 5, rng) + 0.08 * _noise(shape, 30, rng)
    canvas.reflectance *= np.clip(1 + grain, 0.3, 2)[..., None]
    canvas.heat += 0.012 * _noise(shape, 40, rng) * (canvas.heat > 0.2)


def _draw_trees(canvas: _Canvas, rng: np.random.Generator) -> None:
    for x, base, size in ((-6, 376, 0.95), (646, 360, 0.85), (238, 262, 0.36)):
        canvas.box(x - 6 * size, base - 130 * size, x + 6 * size, base, (0.08, 0.10, 0.13), LEAVES + 0.03)
        for _ in range(150):
            radius, angle = np.sqrt(rng.random()) * 62 * size, rng.uniform(0, 2 * np.pi)
            at = x + radius * np.cos(angle), base - 165 * size + radius * np.sin(angle) * 1.1
            green = np.array([0.06, 0.20, 0.10]) * rng.uniform(0.5, 1.4)
            leaf = rng.uniform(5, 11) * size
            canvas.ellipse(*at, leaf, leaf * 0.8, tuple(green), LEAVES + rng.uniform(-0.04, 0.03))


def _draw_lamp(canvas: _Canvas, x: float, base: float, height: float) -> None:
    side = 1 if x < VANISHING_X else -1
    thick = height / 60
    canvas.box(x - thick, base - height, x + thick, base, (0.12, 0.12, 0.12), STONE - 0.1)
    canvas.box(x - thick, base - height, x + side * height / 6, base - height + thick, (0.12,) * 3, STONE - 0.1)
    at = x + side * height / 6, base - height + 2 * thick
    canvas.ellipse(*at, 4.2 * thick, 1.9 * thick, (0.9, 0.9, 0.9), 0.72, (0.75, 1.25, 1.6))


def _draw_car(canvas: _Canvas, x: float, base: float, size: float, color, headlights: bool) -> None:
    """A car seen from the front (headlights) or from behind; tyres, grille and underbody are warm."""

    def at(points):
        return [(x + size * px, base + size * py) for px, py in points]

    canvas.polygon(at([(-52, 2), (52, 2), (48, -8), (-48, -8)]), (0.01,) * 3, ASPHALT + 0.16)
    for px in (-44, 30):
        canvas.box(*np.ravel(at([(px, -18), (px + 14, 3)])), (0.02,) * 3, 0.68)
    canvas.polygon(at([(-50, -8), (-52, -34), (-40, -44), (40, -44), (52, -34), (50, -8)]), color, 0.40)
    canvas.polygon(at([(-40, -44), (-28, -68), (28, -68), (40, -44)]), color, 0.36)
    canvas.polygon(at([(-34, -45), (-25, -64), (25, -64), (34, -45)]), (0.10, 0.09, 0.08), 0.16)
    canvas.box(*np.ravel(at([(-22, -34), (22, -20)])), (0.05,) * 3, 0.62 if headlights else 0.44)
    canvas.box(*np.ravel(at([(-14, -18), (14, -11)])), (0.7, 0.7, 0.7), 0.37)
    light, warmth = ((1.7, 1.9, 2.0), 0.60) if headlights else ((0.05, 0.05, 0.9), 0.44)
    for px in (-40, 40):
        canvas.ellipse(*at([(px, -28)])[0], 7 * size, 5 * size, (0.8,) * 3, warmth, light)
    if not headlights:
        canvas.ellipse(*at([(30, -3)])[0], 4 * size, 2.5 * size, (0.1,) * 3, 0.95)


def _draw_person(canvas: _Canvas, x: float, base: float, height: float, color) -> None:
    """A walking person; the skin is warmer than the clothes."""
    unit = height / 100

    def limb(points, heat, tint=color):
        canvas.polygon([(x + unit * px, base + unit * py) for px, py in points], tint, heat)

    trousers = tuple(0.6 * part for part in color)
    limb([(-9, -48), (1, -48), (-6, 0), (-13, 0)], 0.70, trousers)
    limb([(-1, -48), (9, -48), (14, 0), (7, 0)], 0.72, trousers)
    limb([(-11, -84), (11, -84), (12, -44), (-12, -44)], 0.80)
    limb([(-11, -83), (-7, -80), (-15, -46), (-20, -47)], 0.78)
    limb([(11, -83), (7, -80), (16, -47), (20, -49)], 0.78)
    for px, py in ((-18, -45), (18, -46)):
        canvas.ellipse(x + unit * px, base + unit * py, 2.5 * unit, 3 * unit, (0.25, 0.32, 0.45), 0.95)
    canvas.ellipse(x, base - 92 * unit, 6 * unit, 8 * unit, (0.25, 0.32, 0.45), 1.0)
    limb([(-6, -93), (-5, -99), (0, -101), (5, -99), (6, -93)], 0.82, (0.04, 0.04, 0.05))


def _expose(canvas: _Canvas, rng: np.random.Generator) -> np.ndarray:
    """Light the scene and take the visible picture, BGR in [0, 1]."""
    height, width = canvas.heat.shape
    y, x = np.mgrid[:height, :width].astype(np.float32) / canvas.scale
    light = np.full((height, width, 3), 0.13, np.float32) * np.array([1.15, 1.0, 0.9], np.float32)
    lamp = np.array([0.45, 0.80, 1.0], np.float32)
    pools = (
        (233, 345, 62, 26, 1.5), (427, 345, 62, 26, 1.5), (282, 268, 30, 10, 1.0), (381, 268, 30, 10, 1.0),
        (75, 310, 60, 50, 0.6), (233, 240, 22, 80, 0.25), (427, 240, 22, 80, 0.25), (395, 405, 95, 22, 1.3),
    )  # fmt: skip
    for px, py, rx, ry, strength in pools:
        light += strength * np.exp(-(((x - px) / rx) ** 2) - ((y - py) / ry) ** 2)[..., None] * lamp
    image = canvas.reflectance * light + canvas.glow
    bright = np.clip(image - 0.62, 0, None)
    for sigma, strength in ((3, 0.5), (11, 0.55), (34, 0.7)):
        image = image + strength * cv2.GaussianBlur(bright, (0, 0), sigma * canvas.scale)
    # Shoulder and gamma of a camera.
    return (1 - np.exp(-1.5 * np.clip(image, 0, None))) ** (1 / 1.6)


def _thermal(canvas: _Canvas, rng: np.random.Generator) -> np.ndarray:
    """Take the infrared picture, values in [0, 1]."""
    heat = cv2.GaussianBlur(canvas.heat, (0, 0), 0.9 * canvas.scale)
    # A warm body is seen as slightly larger; a row of the sensor shares one offset.
    heat = np.maximum(heat, 0.96 * cv2.GaussianBlur(heat, (0, 0), 1.5 * canvas.scale))
    rows = 0.004 * rng.standard_normal((heat.shape[0], 1))
    return np.clip(heat + rows + 0.012 * _noise(heat.shape, 2, rng), 0, 1).astype(np.float32)
