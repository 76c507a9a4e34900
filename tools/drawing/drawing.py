"""2D pictures of poses: skeletons on photographs and on blank canvases.

Every picture is an OpenCV picture: uint8 `[H, W, 3]`, BGR. Nothing here opens a window or keeps state. 3D pictures are
in `figures.py`, contact sheets in `sheets.py`, films in `animation.py`, diagrams in `plots.py`.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tools.cli import outputs
from tools.cli.errors import InputError
from tools.drawing.text import INK, Colour, put_text, text_size
from tools.files import atomic
from tools.pose import joints
from tools.pose.joints import LABELLED, MADE, MISSING

# Blue and vermilion of Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), told apart with every kind of colour
# blindness and in grey; BGR.
LEFT_COLOUR = (178, 114, 0)
RIGHT_COLOUR = (0, 94, 213)
CENTRE_COLOUR = (72, 72, 72)
GHOST_COLOUR = (190, 190, 190)
WHITE = (255, 255, 255)

SUBPIXEL_BITS = 4
# What `skeleton_of` takes.
JointSetLike = Any


class Skeleton(NamedTuple):
    """What drawing needs of a joint set: `parents[j]` (-1 at the root), and which joints are left and which right."""

    parents: tuple
    left: frozenset
    right: frozenset

    @property
    def limbs(self) -> list[tuple[int, int]]:
        """Pairs (parent, child), the trunk first so that arms and legs lie over it."""
        pairs = [(p, j) for j, p in enumerate(self.parents) if p >= 0 and p != j]
        return sorted(pairs, key=lambda limb: limb[1] in self.left or limb[1] in self.right)

    def colours(
        self, left: Colour = LEFT_COLOUR, right: Colour = RIGHT_COLOUR, centre: Colour = CENTRE_COLOUR
    ) -> list[Colour]:
        """The BGR colour of each joint, which is also that of the limb from its parent."""
        return [left if j in self.left else right if j in self.right else centre for j in range(len(self.parents))]


def skeleton_of(joint_set: JointSetLike = None) -> Skeleton:
    """The Skeleton of a joint set.

    Args:
        joint_set: None (the project's 17 joints), a name known to `tools.pose.joints`, an object with `parents` and
            `pairs` (left, right), or a tuple (parents, left joints, right joints).

    Raises:
        InputError: when a parent or a side names a joint that does not exist.
    """
    if joint_set is None or isinstance(joint_set, str):
        joint_set = joints.joint_set(joint_set or "pose17")
    if hasattr(joint_set, "parents"):
        parents = joint_set.parents
        left, right = [pair[0] for pair in joint_set.pairs], [pair[1] for pair in joint_set.pairs]
    else:
        parents, left, right = joint_set
    skeleton = Skeleton(tuple(int(p) for p in parents), frozenset(map(int, left)), frozenset(map(int, right)))
    known = range(len(skeleton.parents))
    if any(p not in known and p != -1 for p in skeleton.parents) or any(
        j not in known for j in skeleton.left | skeleton.right
    ):
        raise InputError(f"joint set: parents and sides must name joints 0 to {len(skeleton.parents) - 1}")
    return skeleton


def checked_image(image: np.ndarray) -> np.ndarray:
    """`image` as a contiguous array; InputError unless it is uint8 `[H, W, 3]` with at least one pixel."""
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise InputError(f"image: expected uint8 [H, W, 3] in BGR order, got {image.dtype} {list(image.shape)}")
    return np.ascontiguousarray(image)


def checked_poses(
    poses: np.ndarray, skeleton: Skeleton, dimensions: int, joint_mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Poses as float64 `[P, J, dimensions]`, and which joints can be drawn, bool `[P, J]`: in the mask, and finite.

    Raises:
        InputError: when the shapes do not fit the joint set.
    """
    poses = np.asarray(poses, np.float64)
    shape = (len(skeleton.parents), dimensions)
    if poses.ndim not in (2, 3) or poses.shape[-2:] != shape:
        raise InputError(f"pose: expected {list(shape)}, or one more axis for people, got {list(poses.shape)}")
    poses = poses.reshape(-1, *shape)
    drawn = np.isfinite(poses).all(-1)
    if joint_mask is not None:
        drawn &= _per_joint(joint_mask, drawn.shape, "joint_mask").astype(bool)
    return poses, drawn


def _per_joint(values: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    values = np.asarray(values)
    if values.shape[-1:] != shape[-1:] or values.size not in (shape[1], shape[0] * shape[1]):
        raise InputError(
            f"{name}: expected one value for each of {shape[0]} x {shape[1]} joints, got {list(values.shape)}"
        )
    return np.broadcast_to(values.reshape(-1, shape[1]), shape)


def draw_skeleton_2d(
    image: np.ndarray,
    poses_2d: np.ndarray,
    joint_set: JointSetLike = None,
    joint_mask: np.ndarray | None = None,
    provenance: np.ndarray | None = None,
    labels: str | Sequence[str | None] | None = None,
    thickness: int | None = None,
    colours: Sequence[Colour] | None = None,
) -> np.ndarray:
    """A copy of `image` with one or several people drawn on it.

    Left limbs are blue, right limbs vermilion, the trunk dark, each in a white casing so that it shows on any picture.
    Labelled joints are filled, made joints hollow; missing joints and the limbs that need them are not drawn.

    Args:
        image: uint8 `[H, W, 3]` BGR.
        poses_2d: `[J, 2]` or `[P, J, 2]` pixels; pixel centres have whole coordinates.
        joint_set: see `skeleton_of`.
        joint_mask: `[J]` or `[P, J]`, true where a joint may be drawn; joints that are not finite never are.
        provenance: `[J]` or `[P, J]` of 0 missing, 1 made, 2 labelled; all labelled when absent.
        labels: text for the person or a list of one per person, written above the head, or below or
            beside the person where there is no space.
        thickness: of limbs in pixels; by default it follows the size of each person.
        colours: (left, right, centre) in BGR.

    Returns:
        uint8 `[H, W, 3]`.

    Raises:
        InputError: for a picture, pose or mask of the wrong shape or type.
    """
    image = checked_image(image).copy()
    skeleton = skeleton_of(joint_set)
    poses, drawn = checked_poses(poses_2d, skeleton, 2, joint_mask)
    if provenance is None:
        provenance = np.full(drawn.shape, LABELLED)
    provenance = _per_joint(provenance, drawn.shape, "provenance")
    drawn = drawn & (provenance != MISSING)
    names = [labels] * len(poses) if labels is None or isinstance(labels, str) else list(labels)
    if len(names) != len(poses):
        raise InputError(f"labels: expected one for each of {len(poses)} people, got {len(names)}")
    palette = skeleton.colours(*colours) if colours else skeleton.colours()
    for pose, usable, origin, label in zip(poses, drawn, provenance, names):
        if usable.any():
            width = thickness or _limb_thickness(pose[usable], image.shape)
            _draw_person(image, pose, usable, origin == MADE, skeleton.limbs, palette, width)
            if label:
                _draw_label(image, label, pose[usable], width)
    return image


def _limb_thickness(points: np.ndarray, shape: tuple[int, ...]) -> int:
    """A seventieth of the person, who counts as at least a tenth of the picture and at most the whole of it."""
    diagonal = np.hypot(shape[0], shape[1])
    return max(1, round(float(np.clip(np.hypot(*np.ptp(points, axis=0)), diagonal / 10, diagonal)) / 70))


def _draw_person(
    image: np.ndarray,
    pose: np.ndarray,
    usable: np.ndarray,
    derived: np.ndarray,
    limbs: Sequence[tuple[int, int]],
    palette: Sequence[Colour],
    thickness: int,
) -> None:
    import cv2

    casing = round(0.6 * thickness) if thickness > 1 else 0  # on thumbnails there is no room for it

    def fixed(point: np.ndarray) -> tuple[int, ...]:
        return tuple(round(float(c)) for c in point * (1 << SUBPIXEL_BITS))

    def disc(centre: np.ndarray, radius: float, colour: Colour) -> None:
        cv2.circle(image, fixed(centre), int(radius * (1 << SUBPIXEL_BITS)), colour, -1, cv2.LINE_AA, SUBPIXEL_BITS)

    for parent, child in limbs:
        if not (usable[parent] and usable[child]):
            continue
        ends = _clipped(pose[parent], pose[child], image.shape)
        if ends is None:
            continue
        start, end = map(fixed, ends)
        if casing:
            cv2.line(image, start, end, WHITE, thickness + casing, cv2.LINE_AA, SUBPIXEL_BITS)
        cv2.line(image, start, end, palette[child], thickness, cv2.LINE_AA, SUBPIXEL_BITS)
    for j in np.flatnonzero(usable):
        if _clipped(pose[j], pose[j], image.shape) is None:
            continue
        radius = max(0.85 * thickness, 1.0) + derived[j] * 0.3 * thickness
        if casing:
            disc(pose[j], radius + casing / 2, WHITE)
        disc(pose[j], radius, palette[j])
        if derived[j]:
            disc(pose[j], 0.65 * radius, WHITE)


def _clipped(start: np.ndarray, end: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray] | None:
    """The part of a segment within one picture size around the picture (Liang and Barsky), None if there is none.

    OpenCV's fixed-point coordinates overflow far outside; near the picture nothing changes.
    """
    size = np.array([shape[1], shape[0]], np.float64)
    step = end - start
    enter, leave = 0.0, 1.0
    for axis in (0, 1):
        low, high = -size[axis] - start[axis], 2 * size[axis] - start[axis]
        if step[axis] == 0:
            if low > 0 or high < 0:
                return None
            continue
        near, far = sorted((low / step[axis], high / step[axis]))
        enter, leave = max(enter, near), min(leave, far)
    return (start + enter * step, start + leave * step) if enter <= leave else None


def _draw_label(image: np.ndarray, text: str, points: np.ndarray, thickness: int) -> None:
    size = int(np.clip(3 * thickness, max(11, np.hypot(image.shape[0], image.shape[1]) / 75), 24))
    width, height = text_size(text, size)
    pad = size // 3
    centre, top = points[:, 0].mean(), points[:, 1].min() - 3 * thickness
    x, y = centre - width / 2, top - height - pad
    if pad + height > points[:, 1].min() - 1.5 * thickness:
        # No space above: below the person, else beside their highest joint, on the side with more space.
        highest = points[points[:, 1].argmin(), 0]
        below = points[:, 1].max() + 3 * thickness + pad
        if below + height + pad <= image.shape[0]:
            y = below
        elif highest > image.shape[1] / 2:
            x = highest - 3 * thickness - width - pad
        else:
            x = highest + 3 * thickness + pad
    x = int(np.clip(x, pad, max(pad, image.shape[1] - width - pad)))
    y = int(np.clip(y, pad, max(pad, image.shape[0] - height - pad)))
    put_text(image, text, (x, y), size, INK, "la", background=WHITE)


def pose_canvas(
    poses_2d: np.ndarray,
    joint_set: JointSetLike = None,
    joint_mask: np.ndarray | None = None,
    provenance: np.ndarray | None = None,
    size: tuple[int, int] = (480, 480),
    ghost: np.ndarray | None = None,
    background: Colour = WHITE,
    margin: float = 0.1,
) -> np.ndarray:
    """Poses without a picture, drawn as large as they fit on a blank canvas; one scale for both axes.

    Args:
        poses_2d: `[J, 2]` or `[P, J, 2]` pixels of any camera.
        size: (width, height) of the result.
        ghost: another pose in the same pixels, drawn in grey beneath and part of what is fitted.
        margin: share of the canvas left free on each side.
        joint_set, joint_mask, provenance: see `draw_skeleton_2d`.

    Returns:
        uint8 `[height, width, 3]`; blank when no joint can be drawn.
    """
    skeleton = skeleton_of(joint_set)
    poses, drawn = checked_poses(poses_2d, skeleton, 2, joint_mask)
    if provenance is not None:
        drawn = drawn & (_per_joint(provenance, drawn.shape, "provenance") != MISSING)
    canvas = np.full((size[1], size[0], 3), background, np.uint8)
    everything = [poses[drawn]]
    if ghost is not None:
        ghosts, ghosts_drawn = checked_poses(ghost, skeleton, 2, joint_mask)
        everything.append(ghosts[ghosts_drawn])
    points = np.concatenate(everything)
    if not len(points):
        return canvas
    low, high = points.min(0), points.max(0)
    room = np.array(size) * (1 - 2 * margin)
    scale = (room / np.maximum(high - low, 1e-6)).min() if len(points) > 1 else 1.0
    offset = np.array(size) / 2 - scale * (low + high) / 2
    if ghost is not None:
        canvas = draw_skeleton_2d(canvas, ghosts * scale + offset, joint_set, ghosts_drawn, colours=[GHOST_COLOUR] * 3)
    return draw_skeleton_2d(canvas, poses * scale + offset, joint_set, drawn, provenance)


def crop_to_person(
    image: np.ndarray,
    pose_2d: np.ndarray,
    joint_mask: np.ndarray | None = None,
    margin: float = 0.35,
    aspect: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """The part of a picture around one person, and the pose in its pixels.

    Args:
        image: uint8 `[H, W, 3]`.
        pose_2d: `[J, 2]` pixels; joints outside the picture do not widen the crop.
        joint_mask: `[J]`, true where a joint counts.
        margin: free space around the person, as a share of its size.
        aspect: width / height wished for; the crop is cut at the borders of the picture.

    Returns:
        (uint8 `[h, w, 3]`, float64 `[J, 2]`); the whole picture when no joint lies inside it.
    """
    image = checked_image(image)
    pose = np.asarray(pose_2d, np.float64)
    height, width = image.shape[:2]
    inside = np.isfinite(pose).all(-1) & ((pose >= 0) & (pose < [width, height])).all(-1)
    if joint_mask is not None:
        inside &= np.asarray(joint_mask, bool)
    if not inside.any():
        return image, pose
    low, high = pose[inside].min(0), pose[inside].max(0)
    half_height = max(high[1] - low[1], (high[0] - low[0]) / aspect, 16.0) * (1 + 2 * margin) / 2
    half = np.array([aspect * half_height, half_height])
    centre = (low + high) / 2
    left, top = np.maximum(np.floor(centre - half), 0).astype(int)
    right, bottom = np.minimum(np.ceil(centre + half), [width, height]).astype(int)
    return np.ascontiguousarray(image[top:bottom, left:right]), pose - [left, top]


def check_picture_path(path: str | os.PathLike, overwrite: bool = False) -> None:
    """Raises `InputError` when `write_image` could not write there: no such folder, another file format, or a picture
    that may not be replaced."""
    import cv2

    path = pathlib.Path(path)
    if path.is_dir():
        raise InputError(f"{path}: a folder, expected the name of a picture")
    outputs.check_free(path, overwrite)
    if not path.parent.is_dir():
        raise InputError(f"{path}: cannot be written (no folder {path.parent})")
    if not cv2.haveImageWriter(path.name):
        raise InputError(f"{path}: expected the ending of a picture format such as .png or .jpg")


def write_image(path: str | os.PathLike, image: np.ndarray, overwrite: bool = False) -> pathlib.Path:
    """Writes a picture in the format that the ending of `path` names, under a temporary name first; returns the path.

    Raises:
        InputError: when the file exists and `overwrite` is false, the format is unknown, or it cannot be written.
    """
    import cv2

    path = pathlib.Path(path)
    outputs.check_free(path, overwrite)
    try:
        _, data = cv2.imencode(path.suffix or ".", checked_image(image))
    except cv2.error:
        raise InputError(f"{path}: expected the ending of a picture format such as .png or .jpg") from None
    with atomic.write_file(path) as temporary:
        temporary.write_bytes(data.tobytes())
    return path
