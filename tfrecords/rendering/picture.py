"""One rendered picture: a body of the pose, a square crop of the camera's view around it, everything drawn into it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tfrecords import schema
from tfrecords.rendering import body as render_body
from tfrecords.rendering import front as render_front
from tfrecords.rendering import looks as render_looks
from tfrecords.rendering import mesh as render_mesh
from tfrecords.rendering import photo as render_photo
from tfrecords.rendering import scene as render_scene
from tfrecords.rendering import shading as render_shade
from tfrecords.rendering.rasterizer import rasterise
from tfrecords.rendering.scene import SceneView
from tools.pose.cameras import Camera
from tools.pose.joints import POSE17

SIZE = 256
# Bodies are drawn this much larger and shrunk, which smooths their edges.
_FINER = 1.5
# The picture's side is this many times the larger side of the silhouette; of a few, a part lies outside.
_MARGIN, _CUT_MARGIN, _CUT_SHARE = (1.06, 1.5), (0.78, 1.0), 0.06
_SEAT_MM = (230.0, 850.0)


class RenderedPicture(NamedTuple):
    """A picture and what is known of it.

    Attributes:
      pixels: [256, 256, 3] uint8 RGB; jpeg: the same, compressed.
      intrinsics: [4] px of this picture.
      pose_2d: [17, 2] px; visibility: [17] codes of the schema.
      box: [4] x, y, width, height px of the whole silhouette, hidden parts included, as far as it is in the
        picture; NaN when nothing of the person is seen.
      mesh: the body in camera axes with what it sits on, for tests; flesh: [17] mm as in `render_body.Body`.
    """

    pixels: np.ndarray
    jpeg: bytes
    intrinsics: np.ndarray
    pose_2d: np.ndarray
    visibility: np.ndarray
    box: np.ndarray
    mesh: render_mesh.Mesh
    flesh: np.ndarray


def draw(joints: np.ndarray, camera: Camera, ground: float, rng: np.random.Generator) -> RenderedPicture:
    """Draws a person with these joints.

    Args:
      joints: [17, 3] mm, world, z up, all of them before the camera.
      camera: pinhole camera of the uncropped view.
      ground: height of the floor in the world, mm.
    """
    joints = np.asarray(joints, np.float64)
    look = render_looks.sample(rng, render_body.stature(joints))
    body = render_body.build(joints, look, ground, rng)
    light = render_shade.sample_light(rng, camera.rotation[2])
    body, props = _with_seat(rng, body, joints, ground)
    view = _frame(rng, body, props, camera)

    place = np.array([*joints[POSE17.root, :2], ground])
    picture, floor = render_scene.background(rng, view, place, ground)
    render_scene.clutter(rng, picture, view, place, ground, light)
    softness = rng.uniform(0.8, 5.0)
    render_scene.cast_shadow(picture, floor, view, body.mesh.vertices, body.pieces, light, ground, softness)
    picture = render_photo.defocus(rng, picture)

    # the body, larger, then shrunk with its cover; only the part of the picture that it needs
    fine = view.scaled(_FINER)
    vertices = fine.to_camera(body.mesh.vertices).astype(np.float32)
    turned = (body.mesh.normals @ fine.rotation.T).astype(np.float32)
    points = vertices[:, :2] / vertices[:, 2:] * fine.intrinsics[:2] + fine.intrinsics[2:]
    blur = render_photo.streak(rng, 7.0) if rng.random() < 0.1 else None  # the person moved
    low, high = _window(points, 0 if blur is None else blur.shape[0])
    corner, (width, height) = low * _FINER, ((high - low) * _FINER).astype(int).tolist()
    intrinsics = np.concatenate([fine.intrinsics[:2], fine.intrinsics[2:] - corner])
    raster = rasterise(points - corner, vertices[:, 2], body.mesh.faces, width, height)
    colours = render_shade.shade(
        body, look, light, raster, vertices, turned, intrinsics, fine.rotation, (width, height)
    )
    alone = body.kind[body.mesh.face_part[raster.face]] != render_body.PROP
    picture = picture.astype(np.float32)
    picture *= np.float32(1 / 255)
    person = np.zeros((SIZE, SIZE), bool)
    part = slice(low[1], high[1]), slice(low[0], high[0])
    person[part] = _lay(picture[part], raster.pixel, colours, alone, (width, height), blur)
    hidden = render_front.in_front(rng, picture, person)
    pixels = render_photo.expose(rng, picture)
    pose_2d = view.project(joints)
    return RenderedPicture(
        pixels=pixels,
        jpeg=render_photo.encode(rng, pixels),
        intrinsics=view.intrinsics,
        pose_2d=pose_2d,
        visibility=_visibility(
            view, joints, body.flesh, intrinsics, raster.inverse_depth.reshape(height, width), hidden
        ),
        box=_box((points[: len(points) - props] + 0.5) / _FINER - 0.5) if person.any() else np.full(4, np.nan),
        mesh=body.mesh._replace(vertices=vertices),
        flesh=body.flesh,
    )


def _window(points: np.ndarray, blur: int) -> tuple[np.ndarray, np.ndarray]:
    """Corners [2] int (low, high) of the part of the picture that holds all `points` [n, 2] of the finer picture, or
    what of them lies in it; even, so that the finer picture's are whole numbers."""
    low = np.floor(points.min(0) / _FINER / 2 - 1) * 2 - 2 * blur
    high = np.ceil(points.max(0) / _FINER / 2 + 1) * 2 + 2 * blur
    low = np.clip(low, 0, SIZE - 2).astype(int)
    return low, np.clip(high, low + 2, SIZE).astype(int)


def _lay(
    part: np.ndarray,
    pixel: np.ndarray,
    colours: np.ndarray,
    alone: np.ndarray,
    size: tuple[int, int],
    blur: np.ndarray | None,
) -> np.ndarray:
    """Lays the body over a part of the picture, in place, and returns where the person is, bool [h, w].

    Args:
      pixel: [n] where the body is in that part, `_FINER` times as large, with `size` (width, height); colours: [n, 3]
        and alone: [n] whether it is the person.
      blur: a kernel, or None.
    """
    import cv2

    width, height = size
    layer = np.zeros((height * width, 4), np.float32)
    layer[pixel, :3], layer[pixel, 3] = colours, 1.0
    person = np.zeros(height * width, np.uint8)
    person[pixel] = alone
    shrunk = part.shape[1], part.shape[0]
    layer = cv2.resize(layer.reshape(height, width, 4), shrunk, interpolation=cv2.INTER_LINEAR)
    if blur is not None:
        layer = cv2.filter2D(layer, -1, blur)
    part *= 1 - layer[..., 3:]
    part += layer[..., :3]
    return cv2.resize(person.reshape(height, width), shrunk, interpolation=cv2.INTER_NEAREST) > 0


def _with_seat(
    rng: np.random.Generator, body: render_body.Body, joints: np.ndarray, ground: float
) -> tuple[render_body.Body, int]:
    """The body with something to sit on when it seems to sit above the floor, and the number of vertices added."""
    joint = dict(zip(POSE17.joints, joints))
    thighs = [joint[side + "Knee"] - joint[side + "Hip"] for side in "RL"]
    level = max(-thigh[2] / np.linalg.norm(thigh) for thigh in thighs)
    height = joint["Hip"][2] - ground
    feet = min(joint["RFoot"][2], joint["LFoot"][2]) - ground
    sits = (
        level < 0.6 and _SEAT_MM[0] < height < _SEAT_MM[1] and feet < 220 and joint["Thorax"][2] > joint["Hip"][2] + 250
    )
    if not sits or rng.random() < 0.2:
        return body, 0
    top = joint["Hip"][2] - 92 * body.scale
    if top - ground < 60:
        return body, 0
    ahead = (thighs[0] + thighs[1])[:2]
    ahead = ahead / max(np.linalg.norm(ahead), 1.0)
    middle = joint["Hip"][:2] + ahead * 40
    half = np.array([rng.uniform(170, 260), rng.uniform(190, 420)])
    turn = np.arctan2(ahead[1], ahead[0])
    colour = render_looks.colour(rng)
    solids = [
        render_mesh.cuboid(
            [*(middle - half), ground if rng.random() < 0.6 else top - 80], [*(middle + half), top], turn
        )
    ]
    if rng.random() < 0.4:
        behind = middle - ahead * (half[0] + 20)
        solids.append(
            render_mesh.cuboid([*(behind - [25, half[1]]), top - 60], [*(behind + [25, half[1]]), top + 430], turn)
        )
    mesh, part = body.mesh, len(body.kind)
    for solid in solids:
        mesh = render_mesh.join(mesh, solid, part)
    kinds, colours = np.append(body.kind, render_body.PROP), np.concatenate([body.colour, colour[None]])
    return body._replace(mesh=mesh, kind=kinds, colour=colours), 24 * len(solids)


def _frame(rng: np.random.Generator, body: render_body.Body, props: int, camera: Camera) -> SceneView:
    """The square crop of the camera's view that shows the body with some margin, as a view of its own."""
    vertices = body.mesh.vertices[: len(body.mesh.vertices) - props]
    seen = vertices @ camera.rotation.T + camera.translation
    pixels = seen[:, :2] / np.maximum(seen[:, 2:], 100.0) * camera.intrinsics[:2] + camera.intrinsics[2:]
    low, high = pixels.min(0), pixels.max(0)
    extent = high - low
    cut = rng.random() < _CUT_SHARE
    side = extent.max() * rng.uniform(*(_CUT_MARGIN if cut else _MARGIN))
    centre = (low + high) / 2 + rng.uniform(-0.45, 0.45, 2) * np.abs(side - extent)
    scale = SIZE / side
    # pixels are at integers, so the picture's corner is half a pixel before the first one
    corner = (centre - side / 2 + 0.5) * scale
    fx, fy, cx, cy = camera.intrinsics
    intrinsics = np.array(
        [fx * scale, fy * scale, (cx + 0.5) * scale - corner[0] - 0.5, (cy + 0.5) * scale - corner[1] - 0.5]
    )
    return SceneView(intrinsics, np.asarray(camera.rotation), np.asarray(camera.translation), SIZE)


def _visibility(
    view: SceneView,
    joints: np.ndarray,
    flesh: np.ndarray,
    intrinsics: np.ndarray,
    inverse_depth: np.ndarray,
    hidden: np.ndarray,
) -> np.ndarray:
    """Codes [17]: a joint is occluded by a surface farther before it than its own flesh reaches, by something put in
    front, or outside the picture.

    Args:
      intrinsics: [4] of the depth buffer `inverse_depth` [h, w] 1/mm.
      hidden: bool [size, size] where something is in front.
    """
    places, camera = view.project(joints), view.to_camera(joints)
    inside = ((places > -0.5) & (places < SIZE - 0.5)).all(-1)
    pixels = np.rint(camera[:, :2] / camera[:, 2:] * intrinsics[:2] + intrinsics[2:]).astype(int)
    height, width = inverse_depth.shape
    buffered = ((pixels >= 0) & (pixels < [width, height])).all(-1)
    column, row = np.clip(pixels, 0, [width - 1, height - 1]).T
    covered = buffered & (inverse_depth[row, column] * (camera[:, 2] - flesh) > 1.0)
    column, row = np.clip(np.rint(places), 0, SIZE - 1).astype(int).T
    seen = inside & ~covered & ~hidden[row, column]
    return np.where(seen, schema.VISIBLE, schema.OCCLUDED)


def _box(points: np.ndarray) -> np.ndarray:
    """x, y, width, height of the part of the picture that holds `points` [n, 2], to the pixels' outer edges."""
    low = np.clip(np.floor(points.min(0) + 0.5), 0, SIZE) - 0.5
    high = np.clip(np.ceil(points.max(0) + 0.5), 0, SIZE) - 0.5
    return np.concatenate([low, high - low])
