"""The colours of a rendered body: cloth, skin, face and hair by part, then light, its own shadow and occlusion."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tfrecords.rendering import head as render_head
from tfrecords.rendering import looks as render_looks
from tfrecords.rendering import textures as render_textures
from tfrecords.rendering.body import ARM, HAIR, HEAD, LEG, SKIRT, TRUNK, Body
from tfrecords.rendering.looks import Cloth, Look
from tfrecords.rendering.mesh import cross
from tfrecords.rendering.rasterizer import Raster

# mm of cloth in one unit of a part's places (see render_body): along it, and per radian around it
_TRUNK_MM, _LIMB_MM, _SKIRT_MM = (250.0, 150.0), (300.0, 62.0), (500.0, 200.0)
# The light's view of the body is this fine; nearer surfaces than the second number cast no shadow on each other.
_SHADOW_CELL_MM, _SHADOW_BIAS_MM, _SHADOW_CELLS = 30.0, 65.0, 128


class Light(NamedTuple):
    """Light on a body: one direction to the sun or lamp (world, unit), and colours of what comes from it, from above
    and from below, linear."""

    direction: np.ndarray
    key: np.ndarray
    above: np.ndarray
    below: np.ndarray


def sample_light(rng: np.random.Generator, camera_forward: np.ndarray) -> Light:
    """Sun or lamps from anywhere above, more often from the camera's side than from behind the person."""
    elevation = np.radians(rng.uniform(22, 80))
    heading = np.arctan2(-camera_forward[1], -camera_forward[0]) + rng.normal(0, 1.15)
    direction = np.array([np.cos(elevation) * np.cos(heading), np.cos(elevation) * np.sin(heading), np.sin(elevation)])
    hard = rng.beta(1.3, 1.3)
    warm = rng.normal(0, 0.07)
    key = (0.45 + 0.75 * hard) * np.array([1 + warm, 1.0, 1 - warm])
    cool = rng.normal(0, 0.05)
    above = (0.72 - 0.36 * hard) * np.array([1 - cool, 1.0, 1 + cool])
    below = above * rng.uniform(0.35, 0.8) * np.clip(1 + rng.normal(0, 0.06, 3), 0.8, 1.2)
    return Light(direction, key, above, below)


def _cloth(cloth: Cloth, along: np.ndarray, around: np.ndarray) -> np.ndarray:
    """The colours [n, 3] of a cloth at places [n] in mm."""
    size = len(along)
    if cloth.pattern == render_looks.PLAIN or not size:
        return np.broadcast_to(cloth.colour.astype(np.float32), (size, 3))
    u, v = along / cloth.period, around / cloth.period
    if cloth.pattern == render_looks.ACROSS:
        second = (u % 1) < cloth.share
    elif cloth.pattern == render_looks.ALONG:
        second = (v % 1) < cloth.share
    elif cloth.pattern == render_looks.CHECKS:
        second = 0.5 * ((u % 1) < cloth.share) + 0.5 * ((v % 1) < cloth.share)
    elif cloth.pattern == render_looks.DOTS:
        second = ((u % 1) - 0.5) ** 2 + ((v % 1) - 0.5) ** 2 < 0.06 + 0.1 * cloth.share
    elif cloth.pattern == render_looks.BLOTCHES:
        second = render_textures.look_up(render_textures.spots(), along, around, cloth.period / 14)
    else:  # one half of the length in another colour
        second = (along % 560) < 280
    mix = np.asarray(second, np.float32)[:, None]
    return (cloth.colour + mix * (cloth.second - cloth.colour)).astype(np.float32)


def albedo(body: Body, look: Look, parts: np.ndarray, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What each of `n` places on the body is made of.

    Args:
      parts: [n] part numbers; uv: [n, 2] places on them.

    Returns:
      (colours [n, 3] float32 sRGB, how deep folds look [n], how shiny it is [n]).
    """
    colours = body.colour.astype(np.float32)[parts]
    kinds = body.kind[parts]
    folds, shine = np.zeros(len(parts), np.float32), np.full(len(parts), 0.12, np.float32)
    k = body.scale

    def paint(rows: np.ndarray, cloth: Cloth, mm: tuple[float, float]) -> None:
        along, around = uv[rows, 0] * (mm[0] * k), np.abs(uv[rows, 1]) * (mm[1] * k)
        colours[rows] = _cloth(cloth, along, around)
        folds[rows] = cloth.folds * (1 + 0.8 * render_textures.look_up(render_textures.folds(), along, around, 4.0))
        shine[rows] = cloth.sheen

    rows = np.flatnonzero(kinds == TRUNK)
    if len(rows):
        q, turned = uv[rows, 0], np.abs(uv[rows, 1])
        upper = (q > look.waist) | look.one_piece
        paint(rows[upper], look.top, _TRUNK_MM)
        paint(rows[~upper], look.bottom, _TRUNK_MM)
        if not look.one_piece and look.waist > 0:
            colours[rows[(q <= look.waist) & (q > look.waist - 0.13)]] = look.belt
        if look.jacket:
            paint(rows[upper & (turned < look.jacket)], look.inner, _TRUNK_MM)
            edge = rows[upper & (np.abs(turned - look.jacket) < 0.05)]
            colours[edge] = colours[edge] * 0.5
        elif look.logo:
            colours[rows[(turned < look.logo) & (q > 1.2) & (q < 1.25 + 0.7 * look.logo)]] = look.logo_colour
        bare = rows[q > look.neckline - 0.16 * np.exp(-((turned / 0.55) ** 2))]
        colours[bare], folds[bare], shine[bare] = look.skin, 0.0, 0.12
    rows = np.flatnonzero(kinds == ARM)
    if len(rows):
        sleeved = uv[rows, 0] < look.sleeve
        colours[rows] = look.skin
        paint(rows[sleeved], look.top, _LIMB_MM)
        hem = rows[np.abs(uv[rows, 0] - look.sleeve + 0.04) < 0.03]
        colours[hem] = colours[hem] * 0.85
    rows = np.flatnonzero(kinds == LEG)
    if len(rows):
        q = uv[rows, 0]
        colours[rows] = look.skin
        if look.shoe >= 0:
            colours[rows[q > 2 - look.sock]] = look.sock_colour
        paint(rows[q < look.hem], look.bottom, _LIMB_MM)
        if look.shoe > 0:
            colours[rows[q > 2 - look.shoe]] = look.shoe_colour
    rows = np.flatnonzero(kinds == SKIRT)
    if len(rows):
        paint(rows, look.top if look.one_piece else look.bottom, _SKIRT_MM)
    rows = np.flatnonzero(kinds == HEAD)
    if len(rows):
        colours[rows] = _face(look, uv[rows, 0], uv[rows, 1])
    rows = np.flatnonzero(kinds == HAIR)
    if len(rows):
        worn = look.hair in ("cap", "beanie", "scarf")
        strands = render_textures.look_up(render_textures.folds(), uv[rows, 0] * 60, uv[rows, 1] * 160, 2.0)
        colours[rows] = look.cap_colour if worn else look.hair_colour * (1 + 0.16 * strands[:, None])
        shine[rows] = 0.05 if worn else 0.3
    return colours, folds, shine


def _face(look: Look, height: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Colours [n, 3] of a head at places: skin, eyes, brows, mouth, beard, glasses, and short hair at its sides."""
    colours = np.repeat(look.skin.astype(np.float32)[None], len(height), 0)
    turned = np.abs(angle)
    ahead = turned < 0.85
    colours += (0.05 * np.exp(-(((height + 0.22) / 0.2) ** 2) - ((turned - 0.5) / 0.25) ** 2))[:, None] * [
        1,
        -0.3,
        -0.3,
    ]
    if look.beard:
        beard = (height < -0.42 + 0.12 * np.cos(2 * angle)) & (turned < 1.45) & ((height < -0.66) | (turned > 0.14))
        mix = look.beard * 0.8
        colours[beard] = (1 - mix) * colours[beard] + mix * look.hair_colour
    at, apart = render_head.EYES
    socket = ((height - at) / 0.15) ** 2 + ((turned - apart) / 0.24) ** 2
    colours[socket < 1] *= 0.82
    eye = ((height - at) / 0.075) ** 2 + ((turned - apart) / 0.155) ** 2
    colours[eye < 1] = (0.93, 0.92, 0.9)
    colours[((height - at) / 0.085) ** 2 + ((turned - apart) / 0.075) ** 2 < 1] = (0.1, 0.07, 0.06)
    brow, middle = render_head.BROWS
    colours[(np.abs(height - brow) < 0.035) & (np.abs(turned - middle) < 0.22)] = look.hair_colour * 0.7
    mouth = ((height - render_head.MOUTH[0]) / 0.065) ** 2 + (angle / 0.33) ** 2
    colours[(mouth < 1) & ahead] = np.clip(look.skin * [0.82, 0.52, 0.52], 0, 1)
    if look.glasses:
        ring = np.sqrt(((height - at) / 0.19) ** 2 + ((turned - apart) / 0.3) ** 2)
        frame = (np.abs(ring - 1) < 0.16) | ((np.abs(height - at) < 0.03) & (turned > 0.6) & (turned < 1.6))
        colours[frame] = (0.06, 0.06, 0.07)
    line = render_head.hairline(look.hair, angle)
    if look.hair not in ("bald", "scarf"):
        short = np.interp(turned, [0, 0.85, 1.15, 2.0, np.pi], [2.0, 2.0, 0.3, -0.4, -0.55])
        colours[(height > line) | (height > short)] = look.hair_colour
    return colours


def shade(
    body: Body,
    look: Look,
    light: Light,
    raster: Raster,
    camera_vertices: np.ndarray,
    camera_normals: np.ndarray,
    intrinsics: np.ndarray,
    rotation: np.ndarray,
    size: tuple[int, int],
) -> np.ndarray:
    """The lit colours [n, 3] float32 (sRGB, may go beyond 1) of the raster's pixels.

    Args:
      camera_vertices, camera_normals: [v, 3] the mesh in camera axes.
      intrinsics: [4] of the raster; rotation: [3, 3] world to camera; size: (width, height) of the raster.
    """
    import cv2

    if not len(raster.pixel):
        return np.zeros((0, 3), np.float32)
    mesh = body.mesh
    towards = (rotation @ light.direction).astype(np.float32)
    up = rotation[:, 2].astype(np.float32)
    corners = mesh.faces[raster.face]
    attributes = np.concatenate([camera_normals, mesh.uv, _lit(towards, camera_vertices)[:, None]], -1)
    values = raster.weights[:, 0, None] * attributes[corners[:, 0]]
    values += raster.weights[:, 1, None] * attributes[corners[:, 1]]
    values += raster.weights[:, 2, None] * attributes[corners[:, 2]]
    normal, uv, lit = values[:, :3], values[:, 3:5], values[:, 5]
    normal /= np.maximum(np.sqrt(np.einsum("ij,ij->i", normal, normal)), 1e-6)[:, None]
    parts = mesh.face_part[raster.face]
    colours, folds, shine = albedo(body, look, parts, uv)

    # darker where a surface lies behind what of the body is around it
    width, height = size
    depth = 1.0 / raster.inverse_depth[raster.pixel]
    distance = float(depth.mean())
    reach = max(3, int(75 * body.scale * intrinsics[0] / distance) | 1)
    image = np.zeros((height * width, 2), np.float32)
    image[raster.pixel, 0], image[raster.pixel, 1] = depth, 1.0
    around = cv2.blur(image.reshape(height, width, 2), (reach, reach)).reshape(-1, 2)[raster.pixel]
    behind = depth - around[:, 0] / np.maximum(around[:, 1], 1e-3)
    open_ = 1.0 - 0.5 * np.clip((behind - 8.0) / 90.0, 0.0, 1.0)
    # folds tilt the surface up or down; what faces the light more is brighter
    facing = normal @ towards + 0.22 * (folds - 0.5)
    direct = np.maximum((facing + 0.12) / 1.12, 0.0) * lit

    upwards = 0.5 * open_ * (normal @ up)
    sky, below = 0.5 * open_ + upwards, 0.5 * open_ - upwards
    # a little from where the camera is, so that no side is without shape
    front = 0.12 * open_ * np.maximum(-normal[:, 2], 0)
    # how far the light is mirrored to the camera; people are small enough for one direction to do
    middle = np.median(raster.pixel)
    view = np.array(
        [(middle % width - intrinsics[2]) / intrinsics[0], (middle // width - intrinsics[3]) / intrinsics[1], 1]
    )
    half = (towards - view / np.linalg.norm(view)).astype(np.float32)
    gloss = np.maximum(normal @ (half / np.linalg.norm(half)), 0)
    for _ in range(4):  # to the 16th
        gloss *= gloss
    gloss *= shine * direct
    linear = np.stack([direct, sky, below, front], -1) @ np.concatenate(
        [np.stack([light.key, light.above, light.below]), np.ones((1, 3))]
    ).astype(np.float32)
    linear *= colours
    linear *= colours
    linear += gloss[:, None]
    return np.sqrt(np.maximum(linear, 0.0))


def _lit(towards: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """For each of the vertices [v, 3] (camera axes) 1 where the light reaches it, 0 where the body is in between."""
    import cv2

    first = cross(towards, np.eye(3, dtype=np.float32)[2 if abs(towards[2]) < 0.9 else 0])
    first = (first / np.linalg.norm(first)).astype(np.float32)
    seen = vertices @ np.stack([first, cross(towards, first), towards], -1).astype(np.float32)
    cell = ((seen[:, :2] - seen[:, :2].min(0)) * np.float32(1 / _SHADOW_CELL_MM)).astype(np.int32)
    np.minimum(cell, _SHADOW_CELLS - 1, out=cell)
    cell = cell[:, 1] * _SHADOW_CELLS + cell[:, 0]
    nearest = np.full(_SHADOW_CELLS * _SHADOW_CELLS, -1e9, np.float32)
    np.maximum.at(nearest, cell, seen[:, 2])
    nearest = cv2.dilate(nearest.reshape(_SHADOW_CELLS, -1), np.ones((2, 2), np.uint8)).ravel()
    return (nearest[cell] < seen[:, 2] + np.float32(_SHADOW_BIAS_MM)).astype(np.float32)
