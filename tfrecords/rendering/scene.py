"""Where a rendered person stands: floor and walls in perspective or a sky, things around, the shadow.

Pictures are uint8 [size, size, 3] RGB, float32 between 0 and 1 once the person is in; pixels are at integer places.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tfrecords.rendering import looks as render_looks
from tfrecords.rendering import textures as render_textures
from tfrecords.rendering.mesh import Mesh, cross, cuboid
from tfrecords.rendering.shading import Light

# Nothing that is put behind a person stands nearer to them than this, mm.
_CLEAR_MM = 700.0


class SceneView(NamedTuple):
    """A camera: `intrinsics` [4] px, X_camera = `rotation` [3, 3] X_world + `translation` [3] mm; `size` px square."""

    intrinsics: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    size: int

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        return points @ self.rotation.T + self.translation

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels [..., 2] of world points [..., 3] before the camera."""
        points = self.to_camera(points)
        return points[..., :2] / points[..., 2:] * self.intrinsics[:2] + self.intrinsics[2:]

    def eye(self) -> np.ndarray:
        return -self.rotation.T @ self.translation

    def scaled(self, factor: float) -> SceneView:
        """The same view in a picture of `factor` times the size, whose pixels cover the same ground."""
        fx, fy, cx, cy = self.intrinsics
        new = np.array([fx * factor, fy * factor, (cx + 0.5) * factor - 0.5, (cy + 0.5) * factor - 0.5])
        return self._replace(intrinsics=new, size=round(self.size * factor))

    def inverse_depth(self, normal: np.ndarray, offset: float) -> np.ndarray:
        """1/mm of the plane normal . X = offset (world) at each pixel [size, size] float32; not above 0: not seen."""
        turned = self.rotation @ normal
        distance = offset + turned @ self.translation
        fx, fy, cx, cy = self.intrinsics
        pixels = np.arange(self.size, dtype=np.float32)
        x, y = (pixels - np.float32(cx)) / np.float32(fx), (pixels - np.float32(cy)) / np.float32(fy)
        scale = 1.0 / (distance if abs(distance) > 1.0 else 1.0)
        return (np.float32(turned[0] * scale) * x)[None] + (
            np.float32(turned[1] * scale) * y + np.float32(turned[2] * scale)
        )[:, None]


def _ramp(rng: np.random.Generator, first: np.ndarray, second: np.ndarray, spread: float = 0.35) -> np.ndarray:
    """A table [256, 3] uint8 of colours for a grey texture: dark to light about one colour, or between two."""
    level = np.linspace(-1, 1, 256)[:, None]
    base = (first + second) / 2
    table = base * (1 + spread * level) + (second - first) / 2 * level * rng.uniform(0, 1)
    return np.clip(table * 255, 0, 255).astype(np.uint8)


def _wall_colour(rng: np.random.Generator) -> np.ndarray:
    colour = render_looks.colour(rng)
    if rng.random() < 0.6:  # rooms and grounds are mostly pale or greyish
        colour = rng.uniform(0.3, 0.9) + 0.25 * (colour - colour.mean())
    return np.clip(colour, 0.05, 0.95)


def _plane(
    rng: np.random.Generator,
    view: SceneView,
    picture: np.ndarray,
    where: np.ndarray,
    origin: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    span_mm: float,
    brightness: float = 1.0,
) -> np.ndarray:
    """Paints a textured plane, in place, `where` (bool [size, size]) it is seen.

    Args:
      origin: [3] a point of it, first, second: [3] unit vectors in it; world.
      span_mm: the size of its texture.

    Returns:
      Its middle colour [3].
    """
    import cv2

    textures = render_textures.surfaces()
    texture = textures[rng.integers(len(textures))]
    texel = span_mm / render_textures.SIZE
    turned = view.rotation @ np.stack([first * texel, second * texel, origin], -1)
    turned[:, 2] += view.translation
    fx, fy, cx, cy = view.intrinsics
    matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]) @ turned
    colour, other = _wall_colour(rng), _wall_colour(rng)
    table = _ramp(rng, colour * brightness, other * brightness, rng.uniform(0.05, 0.5))
    rows = np.flatnonzero(where.any(1))
    if not len(rows) or abs(np.linalg.det(matrix)) < 1e-9:
        return table[128]
    # where the texture gets finer than pixels, a coarser one keeps it from flickering
    if rng.random() < 0.3:
        texture = np.ascontiguousarray(texture[::2, ::2])
        matrix = matrix @ np.diag([2.0, 2.0, 1.0])
    low, high = int(rows[0]), int(rows[-1]) + 1
    matrix = np.array([[1, 0, 0], [0, 1, -low], [0, 0, 1]]) @ matrix
    grey = cv2.warpPerspective(
        texture, matrix, (view.size, high - low), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
    )
    cv2.copyTo(cv2.applyColorMap(grey, table[:, None]), where[low:high].astype(np.uint8), picture[low:high])
    return table[128]


def background(
    rng: np.random.Generator, view: SceneView, place: np.ndarray, ground: float
) -> tuple[np.ndarray, np.ndarray]:
    """What is behind a person at `place` [3] (world) on a floor at height `ground`.

    Returns:
      (the picture, bool [size, size]: where it shows the floor).
    """
    up = np.array([0.0, 0.0, 1.0])
    floor_depth = view.inverse_depth(up, ground)
    nearest, kinds = np.maximum(floor_depth, 0), floor_depth > 0
    style = rng.choice(3, p=(0.5, 0.33, 0.17))  # a room, outdoors, nothing in particular
    if style == 2:
        return _blur(rng, view.size), kinds & (rng.random() < 0.5)
    heading = rng.uniform(0, np.pi)
    axes = np.array([[np.cos(heading), np.sin(heading), 0], [-np.sin(heading), np.cos(heading), 0], up])
    towards = place - view.eye()
    towards = np.array([*towards[:2], 0.0]) / max(np.linalg.norm(towards[:2]), 1.0)
    # walls of a room; or a sky above the horizon, with a band of trees, hills or houses before it
    picture, walls = np.full((view.size, view.size, 3), 128, np.uint8), []
    if style == 0:
        for wall in range(1 + (rng.random() < 0.5)):
            angle = rng.normal(0, 0.45) + (0 if wall == 0 else rng.choice([-1, 1]) * np.pi / 2)
            cos, sin = np.cos(angle), np.sin(angle)
            normal = np.array([cos * towards[0] - sin * towards[1], sin * towards[0] + cos * towards[1], 0.0])
            offset = normal @ place + rng.uniform(700, 4500)
            depth = view.inverse_depth(normal, offset)
            nearer = depth > nearest
            nearest = np.where(nearer, depth, nearest)
            kinds &= ~nearer
            walls.append((normal, offset, nearer))
    elif not kinds.all():
        picture = _sky(rng, view.size)
    middle, span = np.array([*place[:2], ground]), rng.choice([1200, 2500, 5000])
    tone = _plane(rng, view, picture, kinds, middle, axes[0], axes[1], span)
    # far away, the floor fades into its middle colour
    haze = np.clip(1.0 - floor_depth * np.float32(rng.uniform(3000, 9000)), 0, 1) * kinds
    rows = np.flatnonzero(haze.any(1))
    if len(rows):
        part = slice(rows[0], rows[-1] + 1)
        picture[part] = picture[part] + haze[part, :, None] * (tone.astype(np.float32) - picture[part])
    for normal, offset, nearer in walls:
        span, brightness = rng.choice([1500, 3000, 6000]), rng.uniform(0.7, 1.1)
        aside, origin = cross(up, normal), normal * offset + up * ground
        _plane(rng, view, picture, nearer, origin, aside, up, span, brightness)
    if style == 1:
        _skyline(rng, view, picture, towards, ground)
    return picture, kinds


def _sky(rng: np.random.Generator, size: int) -> np.ndarray:
    import cv2

    top = np.array([0.35, 0.55, 0.85]) if rng.random() < 0.6 else rng.uniform(0.5, 0.85, 3)
    bottom = np.clip(0.5 * top + 0.5 * rng.uniform(0.75, 1.0, 3), 0, 1)
    share = np.linspace(0, 1, size)[:, None, None] ** rng.uniform(0.5, 2)
    rows = (255 * (top * (1 - share) + bottom * share)).astype(np.uint8)
    sky = np.ascontiguousarray(np.broadcast_to(rows, (size, size, 3)))
    if rng.random() < 0.6:
        clouds = render_textures.surfaces()[rng.integers(3, 5)]
        y, x = rng.integers(0, 256, 2)
        clouds = cv2.resize(clouds[y : y + 128, x : x + 192], (size, size), interpolation=cv2.INTER_LINEAR)
        white = cv2.convertScaleAbs(cv2.subtract(clouds, 128), alpha=rng.uniform(0.3, 1.2))
        sky = cv2.add(sky, cv2.merge([white, white, white]))
    return sky


def _skyline(
    rng: np.random.Generator, view: SceneView, picture: np.ndarray, towards: np.ndarray, ground: float
) -> None:
    """Paints a band that stands on the floor far behind, in place."""
    import cv2

    base = view.eye() + towards * rng.uniform(9000, 40000)
    base[2] = ground
    aside = cross(np.array([0.0, 0.0, 1.0]), towards)
    reach = np.linspace(-1, 1, 40)
    width = np.linalg.norm(base - view.eye()) * view.size / view.intrinsics[0] * 1.5
    houses = rng.random() < 0.4
    heights = np.abs(rng.normal(0, 1, 40)) if not houses else np.repeat(rng.uniform(0.3, 2.5, 10), 4)
    if not houses:
        heights = np.convolve(heights, np.ones(3) / 3, "same") + 0.3
    heights = heights * rng.uniform(1500, 5000)
    low = base + aside * (reach * width)[:, None]
    high = low + np.array([0, 0, 1.0]) * heights[:, None]
    low = low - np.array([0, 0, 300.0])
    points = np.concatenate([high, low[::-1]])
    if view.to_camera(points)[:, 2].min() < 100:
        return
    outline = np.clip(view.project(points), -4000, 4000).round().astype(np.int32)
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(mask, [outline], 255)
    colour = rng.uniform(0.08, 0.5, 3) * np.array([0.8, 1.0, 0.7]) if not houses else rng.uniform(0.25, 0.8, 3)
    textures = render_textures.surfaces()
    texture = textures[rng.integers(len(textures))][: view.size, : view.size]
    shades = np.linspace(0.6, 1.4, 256)[:, None] * colour * 255
    cv2.copyTo(
        cv2.applyColorMap(np.ascontiguousarray(texture), np.clip(shades, 0, 255).astype(np.uint8)[:, None]),
        mask,
        picture,
    )


def _blur(rng: np.random.Generator, size: int) -> np.ndarray:
    """Colours that flow into one another, with hard-edged shapes among them now and then."""
    import cv2

    cells = int(rng.integers(2, 9))
    colours = np.array([_wall_colour(rng) for _ in range(3)])
    weights = rng.dirichlet(np.full(3, 0.6), (cells, cells))
    colours = np.clip(255 * weights @ colours, 0, 255).astype(np.uint8)
    picture = cv2.resize(colours, (size, size), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.6:
        textures = render_textures.surfaces()
        texture = textures[rng.integers(len(textures))]
        y, x = rng.integers(0, render_textures.SIZE - size, 2)
        grey = np.ascontiguousarray(texture[y : y + size, x : x + size])
        picture = cv2.addWeighted(picture, 1.0, cv2.merge([grey, grey, grey]), 0.25, -32)
    for _ in range(int(rng.integers(0, 6))):
        colour = _byte_colour(_wall_colour(rng))
        centre = tuple(int(v) for v in rng.integers(0, size, 2))
        axes = tuple(int(v) for v in rng.integers(8, size // 3, 2))
        if rng.random() < 0.5:
            cv2.ellipse(picture, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1)
        else:
            low, high = (centre[0] - axes[0] // 2, centre[1] - axes[1]), (centre[0] + axes[0] // 2, centre[1] + axes[1])
            cv2.rectangle(picture, low, high, colour, -1)
    return picture


def _byte_colour(colour: np.ndarray) -> tuple[float, ...]:
    """A colour 0-1 as OpenCV's drawing takes it."""
    return tuple(float(min(max(255 * value, 0), 255)) for value in colour)


def draw_box(picture: np.ndarray, view: SceneView, mesh: Mesh, colour: np.ndarray, light: Light) -> None:
    """Draws the faces of a convex box that look to the camera, lit, in place; not when it reaches behind the camera."""
    import cv2

    corners = mesh.vertices[mesh.faces[::2]].astype(np.float64)
    if view.to_camera(mesh.vertices)[:, 2].min() < 200:
        return
    fourth = mesh.vertices[mesh.faces[1::2, 2]].astype(np.float64)
    normal = mesh.normals[mesh.faces[::2, 0]]
    seen = ((view.eye() - corners[:, 0]) * normal).sum(-1) > 0
    for face in np.flatnonzero(seen):
        pixels = view.project(np.concatenate([corners[face], fourth[face, None]]))
        lit = 0.55 + 0.45 * max(float(normal[face] @ light.direction), 0.0)
        cv2.fillConvexPoly(
            picture,
            np.clip(pixels, -3000, 3000).round().astype(np.int32),
            _byte_colour(colour * lit),
            cv2.LINE_AA,
        )


def clutter(
    rng: np.random.Generator, picture: np.ndarray, view: SceneView, place: np.ndarray, ground: float, light: Light
) -> None:
    """Boxes, poles and far-off people behind the person, in place."""
    towards = place - view.eye()
    towards = np.array([*towards[:2], 0.0]) / max(np.linalg.norm(towards[:2]), 1.0)
    aside = np.array([-towards[1], towards[0], 0.0])
    things = []
    for _ in range(int(rng.integers(0, 7))):
        back = rng.uniform(_CLEAR_MM, 5000)
        spot = place + towards * back + aside * rng.normal(0, 1300) * (1 + back / 4000)
        things.append((back, rng.choice(3, p=(0.55, 0.25, 0.2)), spot))
    for _, kind, spot in sorted(things, key=lambda thing: -thing[0]):
        if kind == 2:
            _bystander(rng, picture, view, spot, ground)
            continue
        wide, deep, tall = rng.uniform(200, 1100), rng.uniform(200, 700), rng.uniform(200, 1900)
        if kind == 1:
            wide, deep, tall = rng.uniform(40, 220), rng.uniform(40, 220), rng.uniform(1500, 4000)
        low = np.array(
            [spot[0] - wide / 2, spot[1] - deep / 2, ground + (rng.uniform(300, 1500) if rng.random() < 0.15 else 0)]
        )
        draw_box(picture, view, cuboid(low, low + [wide, deep, tall], rng.uniform(0, np.pi)), _wall_colour(rng), light)


def _bystander(rng: np.random.Generator, picture: np.ndarray, view: SceneView, spot: np.ndarray, ground: float) -> None:
    """A person far behind: head, trunk and legs as flat shapes."""
    import cv2

    if view.to_camera(spot)[2] < 500:
        return
    tall = rng.uniform(1550, 1850)
    heights = np.array([0.0, 0.48, 0.82, 0.93]) * tall + ground
    feet, hips, neck, head = view.project(np.stack([np.array([*spot[:2], z]) for z in heights]))
    unit = np.linalg.norm(head - feet) / 0.93
    colours = [_byte_colour(render_looks.colour(rng)) for _ in range(2)]
    skin = _byte_colour(render_looks.skin(rng))
    thick = max(1, int(0.075 * unit))
    stride = rng.uniform(0.02, 0.09) * unit
    shift = 4

    def line(a: np.ndarray, b: np.ndarray, colour: tuple[float, ...], width: float) -> None:
        ends = [tuple(int(v * 2**shift) for v in np.clip(p, -2000, 2000)) for p in (a, b)]
        cv2.line(picture, ends[0], ends[1], colour, int(width), cv2.LINE_AA, shift)

    for sign in (-1, 1):
        line(hips + [sign * 0.04 * unit, 0], feet + [sign * stride, 0], colours[0], thick)
        elbow = neck + [sign * (0.12 * unit + stride / 2), 0.33 * unit]
        line(neck + [sign * 0.1 * unit, 0.03 * unit], elbow, colours[1], max(1, thick * 0.7))
    line(neck + [0, 0.06 * unit], hips, colours[1], max(1, thick * 2.2))
    cv2.circle(
        picture, tuple(int(v) for v in np.clip(head, -2000, 2000)), max(1, int(0.06 * unit)), skin, -1, cv2.LINE_AA
    )


def cast_shadow(
    picture: np.ndarray,
    floor: np.ndarray,
    view: SceneView,
    vertices: np.ndarray,
    pieces: Sequence[tuple[int, int]],
    light: Light,
    ground: float,
    softness: float,
) -> None:
    """Darkens the floor where a body keeps the light away, in place.

    Args:
      floor: bool [size, size], where the floor is seen.
      vertices: [v, 3] of the body, world; pieces: ranges of them that are nearly convex.
      softness: px, how wide the edge is.
    """
    import cv2

    fallen = vertices - ((vertices[:, 2] - ground) / light.direction[2])[:, None] * light.direction
    fallen = view.to_camera(fallen)
    pixels = fallen[:, :2] / np.maximum(fallen[:, 2:], 1.0) * view.intrinsics[:2] + view.intrinsics[2:]
    pixels = np.clip(pixels, -4000, 4000).round().astype(np.int32)
    mask = np.zeros(picture.shape[:2], np.uint8)
    for first, last in pieces:
        if fallen[first:last, 2].min() > 100:
            cv2.fillConvexPoly(mask, cv2.convexHull(pixels[first:last]), 255, cv2.LINE_AA)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return
    reach = int(3 * softness) + 2
    part = tuple(slice(max(found[0] - reach, 0), found[-1] + reach + 1) for found in (rows, columns))
    strength = light.key.mean() / (light.key.mean() + 1.4 * light.above.mean())
    dark = cv2.GaussianBlur(mask[part], (0, 0), max(softness, 0.6)) * floor[part]
    left = 1 - np.float32(0.85 * strength / 255) * dark.astype(np.float32)
    picture[part] = picture[part] * left[..., None]
