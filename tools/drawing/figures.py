"""3D pictures of poses: a room with ticks in millimetres, the photograph as its back wall, shaded limbs, a shadow.

Drawn directly with OpenCV: a picture takes milliseconds, so that films and TensorBoard can have many, and a photograph
stays sharp. One scale holds for all three axes. Everything is in camera axes (x right, y down, z away, mm), and the
viewer at azimuth 0 stands where the camera stood. Returned pictures are uint8 `[H, W, 3]`, BGR.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tools.cli.errors import InputError
from tools.drawing import drawing
from tools.drawing.drawing import GHOST_COLOUR, WHITE
from tools.drawing.text import INK, Colour, put_text, text_size

AZIMUTH, ELEVATION = 38.0, 14.0
# The viewer's distance in room sizes: near enough for depth to be seen, far enough not to distort.
VIEW_DISTANCE = 4.0
# As shares of the room's side: thickness of limbs and joints, and how far the photograph hangs behind the person.
LIMB_RADIUS, JOINT_RADIUS, WALL_GAP = 0.015, 0.022, 0.34
TOWARDS_LIGHT = np.array([-0.45, -0.65, -0.61])  # seen from the viewer: above, left, in front
PANE, FLOOR, GRID, EDGE = (252, 251, 250), (244, 242, 240), (222, 219, 216), (170, 165, 160)


@dataclasses.dataclass(frozen=True)
class Room:
    """The box drawn around poses: corners `low` and `high` `[3]` mm (floor at `high[1]`, back wall at `high[2]`)."""

    low: np.ndarray
    high: np.ndarray

    @property
    def side(self) -> float:
        """Its height in mm, which limbs and gaps are measured by."""
        return float(self.high[1] - self.low[1])

    @property
    def corners(self) -> np.ndarray:
        """`[8, 3]` mm."""
        return np.stack(np.meshgrid(*zip(self.low, self.high), indexing="ij"), -1).reshape(8, 3)


@dataclasses.dataclass(frozen=True)
class View:
    """A viewer `distance` mm from `centre` `[3]`; `rotation` `[3, 3]` from camera axes to theirs, `scale` px/mm."""

    rotation: np.ndarray
    centre: np.ndarray
    distance: float
    scale: float = 1.0
    offset: tuple = (0.0, 0.0)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Points `[..., 3]` mm -> `[..., 3]`: x and y in pixels, and the depth in mm from the viewer."""
        seen = (np.asarray(points, np.float64) - self.centre) @ self.rotation.T
        depth = seen[..., 2:] + self.distance
        return np.concatenate([seen[..., :2] * self.scale * self.distance / depth + self.offset, depth], -1)


def room_around(
    poses_3d: np.ndarray, drawn: np.ndarray | None = None, aspect: float = 1.0, with_wall: bool = False
) -> Room:
    """A Room that holds the given poses, with their feet on its floor.

    Args:
        poses_3d: `[P, J, 3]` mm.
        drawn: bool `[P, J]`, the joints that count; by default the finite ones.
        aspect: width / height of what hangs on the back wall.
        with_wall: whether a photograph hangs there; the wall then stands further back, to be seen beside the person.
    """
    poses_3d = np.asarray(poses_3d, np.float64)
    points = poses_3d[np.isfinite(poses_3d).all(-1) if drawn is None else drawn]
    low, high = (points.min(0), points.max(0)) if len(points) else (np.full(3, -800.0), np.full(3, 800.0))
    extent, middle = high - low, (low + high) / 2
    side = max(1.12 * max(extent[1], 0.85 * extent[0], 0.85 * extent[2]), 400.0)
    width = max(side * np.clip(aspect, 0.8, 1.6), 1.12 * extent[0])
    floor = high[1] + JOINT_RADIUS * side
    front = low[2] - 0.1 * side
    back = max(high[2] + (WALL_GAP if with_wall else 0.1) * side, front + 0.8 * side)
    if not with_wall:
        front, back = middle[2] - (back - front) / 2, middle[2] + (back - front) / 2
    return Room(np.array([middle[0] - width / 2, floor - side, front]), np.array([middle[0] + width / 2, floor, back]))


def view_of(
    room: Room,
    size: tuple[int, int],
    azimuth: float = AZIMUTH,
    elevation: float = ELEVATION,
    margins: Sequence[float] = (0, 0, 0, 0),
    azimuths: Sequence[float] | None = None,
) -> View:
    """The View of a room that fills a picture.

    Args:
        room: the Room to be seen whole.
        size: (width, height) px.
        azimuth: degrees around the person; positive: the viewer steps to the camera's right.
        elevation: degrees above the horizon.
        margins: pixels kept free left, above, right, below.
        azimuths: all the azimuths of a film, whose frames then have one scale; by default just this one.
    """
    centre = (room.low + room.high) / 2
    distance = VIEW_DISTANCE * np.linalg.norm(room.high - room.low) / np.sqrt(3)

    def looking(degrees: float) -> View:
        a, e = np.radians(degrees), np.radians(elevation)
        right, forward = np.array([np.cos(a), 0, np.sin(a)]), np.array([-np.sin(a), 0, np.cos(a)])
        down = np.array([0.0, 1.0, 0.0])
        return View(
            np.stack([right, np.cos(e) * down - np.sin(e) * forward, np.cos(e) * forward + np.sin(e) * down]),
            centre,
            distance,
        )

    outline = np.concatenate(
        [looking(a).project(room.corners)[:, :2] for a in ([azimuth] if azimuths is None else azimuths)]
    )
    low, high = outline.min(0), outline.max(0)
    free = np.array([size[0] - margins[0] - margins[2], size[1] - margins[1] - margins[3]], np.float64)
    scale = (np.maximum(free, 8.0) / (high - low)).min()
    offset = np.array(margins[:2]) + free / 2 - scale * (low + high) / 2
    return dataclasses.replace(looking(azimuth), scale=float(scale), offset=tuple(offset))


def figure_3d(
    pose_3d: np.ndarray,
    image: np.ndarray | None = None,
    joint_set: drawing.JointSetLike = None,
    joint_mask: np.ndarray | None = None,
    ghost: np.ndarray | None = None,
    size: tuple[int, int] = (640, 560),
    azimuth: float = AZIMUTH,
    elevation: float = ELEVATION,
    axes: bool = True,
    room: Room | None = None,
    azimuths: Sequence[float] | None = None,
) -> np.ndarray:
    """The gallery figure: a 3D pose in a room whose back wall is the photograph.

    Args:
        pose_3d: `[J, 3]` or, for several people, `[P, J, 3]` mm in camera axes.
        image: photograph for the back wall, uint8 `[H, W, 3]`, seen as the camera saw it; or None.
        joint_set: see `drawing.skeleton_of`.
        joint_mask: `[J]` or `[P, J]`, true where a joint may be drawn; joints that are not finite never are.
        ghost: a pose to compare with, such as the truth, `[J, 3]` mm, drawn in grey.
        size: (width, height) px of the picture.
        azimuth, elevation: degrees, where the viewer stands; (0, 0) is the camera's direction.
        axes: walls, grid and ticks in mm; without them only the floor and the photograph remain.
        room: a Room shared by several figures, so that they have one scale; by default it fits this pose.
        azimuths: see `view_of`.

    Returns:
        uint8 `[height, width, 3]`.

    Raises:
        InputError: for a pose or picture of the wrong shape or type.
    """
    skeleton = drawing.skeleton_of(joint_set)
    poses, drawn = drawing.checked_poses(pose_3d, skeleton, 3, joint_mask)
    bodies = [(poses, drawn, skeleton.colours())]
    if ghost is not None:
        ghosts, ghosts_drawn = drawing.checked_poses(ghost, skeleton, 3, None)
        bodies.append((ghosts, ghosts_drawn, [GHOST_COLOUR] * len(skeleton.parents)))
    if image is not None:
        image = drawing.checked_image(image)
    if min(size) < 16:
        raise InputError(f"3D figure: size must be at least 16 x 16 pixels, got {size[0]} x {size[1]}")
    if room is None:
        aspect = 1.0 if image is None else image.shape[1] / image.shape[0]
        everyone = np.concatenate([b[0] for b in bodies]), np.concatenate([b[1] for b in bodies])
        room = room_around(*everyone, aspect, image is not None)
    text = int(np.clip(min(size) / 42, 9, 18))
    margins = (4.8 * text, 1.5 * text, 4.8 * text, 4.4 * text) if axes else (0.03 * size[0],) * 4
    view = view_of(room, size, azimuth, elevation, margins, azimuths)

    canvas = np.full((size[1], size[0], 3), WHITE, np.uint8)
    far = [room.high if view.rotation[2, axis] > 0 else room.low for axis in range(3)]
    _draw_panes(canvas, room, view, far, image, axes)
    _draw_shadow(canvas, bodies, skeleton, room, view)
    if axes:
        _draw_ticks(canvas, room, view, far, text)
    _draw_bodies(canvas, bodies, skeleton, room, view)
    return canvas


def _fixed(points: np.ndarray) -> np.ndarray:
    """Points as OpenCV's fixed-point numbers."""
    return np.rint(points * (1 << drawing.SUBPIXEL_BITS)).astype(np.int32)


def _lines(canvas: np.ndarray, lines: Sequence[np.ndarray], colour: Colour | int, thickness: int = 1) -> None:
    import cv2

    fixed = [_fixed(line) for line in lines]
    cv2.polylines(canvas, fixed, False, colour, thickness, cv2.LINE_AA, drawing.SUBPIXEL_BITS)


def _rectangle(room: Room, axis: int, value: float) -> np.ndarray:
    """The corners `[4, 3]` of the room's cross-section at `value` on `axis`, in order around it."""
    others = [a for a in range(3) if a != axis]
    corners = np.empty((4, 3))
    corners[:, axis] = value
    corners[:, others[0]] = np.array([room.low, room.high, room.high, room.low])[:, others[0]]
    corners[:, others[1]] = np.array([room.low, room.low, room.high, room.high])[:, others[1]]
    return corners


def _tick_values(room: Room, axis: int, step: float) -> np.ndarray:
    return np.arange(np.ceil(room.low[axis] / step), np.floor(room.high[axis] / step) + 1) * step


def _grid_step(room: Room) -> float:
    """The distance of grid lines: a round number that divides the room's height in three to eight."""
    power = 10 ** np.floor(np.log10(room.side / 3))
    return float(max(step * power for step in (1, 2, 5) if step * power <= room.side / 3))


def _draw_panes(canvas: np.ndarray, room: Room, view: View, far: Any, image: np.ndarray | None, axes: bool) -> None:
    """Floor, the two far walls, their grids, and the photograph where the far wall is the back wall."""
    import cv2

    panes = [(1, room.high[1], FLOOR)] + ([(axis, far[axis][axis], PANE) for axis in (0, 2)] if axes else [])
    for axis, value, colour in panes:
        corners = _fixed(view.project(_rectangle(room, axis, value))[:, :2])
        cv2.fillConvexPoly(canvas, corners, colour, cv2.LINE_AA, drawing.SUBPIXEL_BITS)
    has_photograph = image is not None and far[2] is room.high
    if image is not None and has_photograph:
        _hang_photograph(canvas, image, room, view)
    for axis, value, _ in panes:
        grid = [] if axis == 2 and has_photograph else _grid(room, axis, value)
        outline = _rectangle(room, axis, value)[[0, 1, 2, 3, 0]]
        _lines(canvas, [view.project(line)[:, :2] for line in grid], GRID)
        _lines(canvas, [view.project(outline)[:, :2]], EDGE)


def _grid(room: Room, axis: int, value: float) -> list[np.ndarray]:
    """The grid lines, each `[2, 3]` mm, of the room's cross-section at `value` on `axis`."""
    lines = []
    for along in {0, 1, 2} - {axis}:
        across = 3 - axis - along
        for tick in _tick_values(room, along, _grid_step(room)):
            ends = np.empty((2, 3))
            ends[:, axis], ends[:, along], ends[:, across] = value, tick, (room.low[across], room.high[across])
            lines.append(ends)
    return lines


def photograph_corners(room: Room, shape: tuple[int, ...]) -> np.ndarray:
    """Where a picture hangs on the back wall: `[4, 3]` mm, its top left, top right, bottom right, bottom left.

    As large as fits without distortion, standing on the floor, centred; its top left is at small x and y.
    """
    width = min(room.high[0] - room.low[0], room.side * shape[1] / shape[0])
    height = width * shape[0] / shape[1]
    middle = (room.low[0] + room.high[0]) / 2
    left, right, top, bottom = middle - width / 2, middle + width / 2, room.high[1] - height, room.high[1]
    return np.array([[x, y, room.high[2]] for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))])


def _hang_photograph(canvas: np.ndarray, image: np.ndarray, room: Room, view: View) -> None:
    """Warps the photograph onto the wall: a plane seen in perspective is a homography of the picture."""
    import cv2

    target = view.project(photograph_corners(room, image.shape))[:, :2]
    side_px = max(np.linalg.norm(target[1] - target[0]), np.linalg.norm(target[3] - target[0]))
    shrink = side_px / max(image.shape[:2])
    if shrink < 0.75:  # a warp samples four pixels only; shrinking first keeps large photographs free of aliasing
        factor = float(shrink * 1.2)
        image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    height, width = image.shape[:2]
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32) - np.float32(0.5)
    window, corner = _window(canvas, target, 2)
    region = canvas[window]
    homography = cv2.getPerspectiveTransform(source, (target - corner).astype(np.float32))
    warped = cv2.warpPerspective(image, homography, region.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    cover = np.zeros(region.shape[:2], np.uint8)
    cv2.fillConvexPoly(cover, np.rint(target - corner).astype(np.int32), 255)
    cv2.copyTo(warped, cover, region)
    _lines(canvas, [target[[0, 1, 2, 3, 0]]], EDGE)  # smooths the border


def _window(canvas: np.ndarray, points: np.ndarray, margin: float) -> tuple[tuple[slice, slice], np.ndarray]:
    """The slices of the part of `canvas` that holds points `[N, 2]` with a margin, and its top left corner `[2]`."""
    low = np.clip(np.floor(points.min(0) - margin), 0, canvas.shape[1::-1]).astype(int)
    high = np.clip(np.ceil(points.max(0) + margin) + 1, low, canvas.shape[1::-1]).astype(int)
    return np.s_[low[1] : high[1], low[0] : high[0]], low


def _draw_shadow(canvas: np.ndarray, bodies: Any, skeleton: drawing.Skeleton, room: Room, view: View) -> None:
    """A soft shadow on the floor, straight below."""
    import cv2

    width = LIMB_RADIUS * room.side * view.scale
    for poses, drawn, _ in bodies[:1]:
        for pose, usable in zip(poses, drawn):
            flat = np.where(usable[:, None], pose, 0.0)
            flat[:, 1] = room.high[1]
            points = view.project(flat)[:, :2]
            segments = [points[list(limb)] for limb in skeleton.limbs if usable[list(limb)].all()]
            window, corner = _window(canvas, points[usable] if segments else np.zeros((1, 2)), 8 * width)
            if not segments or not canvas[window].size:
                continue
            mask = np.zeros(canvas[window].shape[:2], np.uint8)
            _lines(mask, [segment - corner for segment in segments], 255, max(1, round(2.6 * width)))
            mask = cv2.GaussianBlur(mask, (0, 0), max(1.0, 1.3 * width))[..., None]
            canvas[window] = np.rint(canvas[window] * (1 - np.float32(0.33 / 255) * mask))


def _draw_ticks(canvas: np.ndarray, room: Room, view: View, far: Any, text: int) -> None:
    """Numbers and names of the axes along the outer edges of the room."""
    near = [room.low if corner is room.high else room.high for corner in far]
    # Per axis a point of its edge and which way is out. The vertical axis stands at the near end of the side wall.
    sides = np.sign([near[axis][axis] - far[axis][axis] for axis in range(3)])
    edges = [
        (0, [0.0, room.high[1], near[2][2]], [0.0, 0.0, sides[2]]),
        (1, [far[0][0], 0.0, near[2][2]], None),
        (2, [near[0][0], room.high[1], 0.0], [sides[0], 0.0, 0.0]),
    ]
    middle_x = view.project((room.low + room.high) / 2)[0]
    for axis, edge, outwards in edges:
        points = np.repeat([edge], 3, axis=0)
        points[:, axis] = room.low[axis], (room.low[axis] + room.high[axis]) / 2, room.high[axis]
        low, middle, high = view.project(points)[:, :2]
        length, extent = np.linalg.norm(high - low), room.high[axis] - room.low[axis]
        if length < 5 * text:  # seen from its end
            continue

        def out_of(point: np.ndarray, outwards: list | None = outwards) -> tuple[np.ndarray, np.ndarray]:
            """The place of `point` in the picture, and the direction there that leads out of the room."""
            start = view.project(point)[:2]
            if outwards is None:
                return start, np.array([np.sign(start[0] - middle_x), 0.0])
            direction = view.project(point + 0.05 * room.side * np.array(outwards))[:2] - start
            return start, direction / max(np.linalg.norm(direction), 1e-6)

        min_step_px = 1.6 * text if axis == 1 else 3.6 * text
        step = _grid_step(room)
        step *= next(n for n in (1, 2, 4, 5, 10, 20, 50) if n * step * length / extent >= min_step_px or n == 50)
        clear = 0.06 * extent  # two axes' numbers would touch in a corner
        for tick in _tick_values(room, axis, step):
            if room.low[axis] + clear < tick < room.high[axis] - clear:
                points[0, axis] = tick
                start, direction = out_of(points[0])
                label = f"{tick + 0.0:.0f}".replace("-", "\u2212")  # + 0.0 turns -0.0 into 0.0
                _lines(canvas, [np.array([start, start + direction * 0.45 * text])], EDGE)
                _put_beside(canvas, label, start + direction * 0.7 * text, direction, text)
        name = "xyz"[axis] + " (mm)"
        if outwards is None:
            put_text(canvas, name, low + [0.0, 0.2 * text], text, INK, "rb" if low[0] < middle_x else "lb")
        else:
            points[0, axis] = min(_tick_values(room, axis, step), key=lambda tick: abs(tick - points[1, axis]))
            start, direction = out_of(points[0])
            beyond = middle + direction * (2.6 + 1.6 * abs(direction[0])) * text  # past the numbers, wider than high
            width = text_size(name, text)[0] * abs(direction[0]) + 1
            if width < beyond[0] < canvas.shape[1] - width:
                _put_beside(canvas, name, beyond, direction, text)
            else:  # where that leads out of the picture, beneath the middle number
                along = (high - low) * np.sign(high[1] - low[1]) / max(abs(high[1] - low[1]), 0.5 * length)
                _put_beside(canvas, name, start + direction * 0.7 * text + along * 1.4 * text, direction, text)


def _put_beside(canvas: np.ndarray, label: str, point: np.ndarray, direction: np.ndarray, text: int) -> None:
    """Writes a label that touches `point` and lies in `direction` from it."""
    put_text(canvas, label, point + direction * np.array(text_size(label, text)) / 2, text, INK, "mm")


def _draw_bodies(canvas: np.ndarray, bodies: Any, skeleton: drawing.Skeleton, room: Room, view: View) -> None:
    """Limbs as lit tubes and joints as balls, hidden by a depth buffer; the second bodies, ghosts, are thinner."""
    pieces = []
    for number, (poses, drawn, colours) in enumerate(bodies):
        limb_radius, joint_radius = (
            share * room.side * (0.65 if number else 1) for share in (LIMB_RADIUS, JOINT_RADIUS)
        )
        for pose, usable in zip(poses, drawn):
            seen = view.project(np.where(usable[:, None], pose, 0.0))
            pieces += [
                (seen[p], seen[j], limb_radius, colours[j]) for p, j in skeleton.limbs if usable[p] and usable[j]
            ]
            pieces += [(seen[j], seen[j], joint_radius, colours[j]) for j in np.flatnonzero(usable)]
    nearest = np.full(canvas.shape[:2], np.inf, np.float32)
    for start, end, radius, colour in sorted(pieces, key=lambda piece: -(piece[0][2] + piece[1][2])):
        _draw_tube(canvas, nearest, start, end, radius, np.array(colour, np.float32), view)


def _draw_tube(
    canvas: np.ndarray,
    nearest: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    radius: float,
    colour: np.ndarray,
    view: View,
) -> None:
    """One tube between two seen points (x px, y px, depth mm), where it is nearer than what `nearest` remembers."""
    ends = np.array([start, end])
    thick = radius * view.scale * view.distance / ends[:, 2]
    low = np.maximum(np.floor((ends[:, :2] - thick[:, None]).min(0)) - 1, 0)
    high = np.minimum(np.ceil((ends[:, :2] + thick[:, None]).max(0)) + 2, canvas.shape[1::-1])
    if (low >= high).any() or (ends[:, 2] <= 0).any():
        return
    window = np.s_[int(low[1]) : int(high[1]), int(low[0]) : int(high[0])]
    y, x = np.ogrid[window]
    x, y = x.astype(np.float32), y.astype(np.float32)
    along = (ends[1] - ends[0]).astype(np.float32)
    length2 = max(float(along[0] ** 2 + along[1] ** 2), 1e-6)
    share = np.clip(((x - ends[0, 0]) * along[0] + (y - ends[0, 1]) * along[1]) / length2, 0, 1)
    dx, dy = x - (ends[0, 0] + share * along[0]), y - (ends[0, 1] + share * along[1])
    width = thick[0] + share * (thick[1] - thick[0])
    across = np.sqrt(dx * dx + dy * dy)
    cover = np.clip(width - across + 0.5, 0, 1)
    height = np.sqrt(np.maximum(width * width - across * across, 0))
    depth = ends[0, 2] + share * along[2] - height / view.scale
    light = (dx * TOWARDS_LIGHT[0] + dy * TOWARDS_LIGHT[1] - height * TOWARDS_LIGHT[2]) / width
    light = np.minimum(light, 1)  # on the tube it is never more; beside long thin ones its power overflows
    gloss = np.maximum(light, 0) ** 24
    shaded = colour * (0.55 + 0.5 * np.maximum(light, 0))[..., None] + 70 * gloss[..., None]
    cover = np.where(depth < nearest[window], cover, 0)[..., None].astype(np.float32)
    canvas[window] = np.clip(canvas[window] * (1 - cover) + shaded * cover + 0.5, 0, 255)
    nearest[window] = np.where(cover[..., 0] > 0.5, np.minimum(depth, nearest[window]), nearest[window])
