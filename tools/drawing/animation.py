"""Films of 3D poses: frames of a turning view, written as GIF or MP4.

OpenCV writes the MP4, with the codec mp4v, which every build of it has and which browsers do not play: they want the
GIF. OpenCV before 4.12 cannot write GIF, so Pillow does that, which matplotlib always brings.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable, Iterator

import numpy as np

from tools.cli import outputs
from tools.cli.errors import InputError
from tools.drawing import drawing, figures
from tools.files import atomic

_MP4V = int.from_bytes(b"mp4v", "little")  # the codec's four characters, as OpenCV takes them


def rotation_frames(
    poses_3d: np.ndarray,
    image: np.ndarray | None = None,
    frames: int = 60,
    joint_set: drawing.JointSetLike = None,
    joint_mask: np.ndarray | None = None,
    ghost: np.ndarray | None = None,
    size: tuple[int, int] = (480, 480),
    elevation: float = figures.ELEVATION,
    swing: float | None = None,
    axes: bool = False,
) -> Iterator[np.ndarray]:
    """A pose, or a motion, seen by a viewer who walks around it; the film can be repeated without a jump.

    Args:
        poses_3d: `[J, 3]` mm, one pose, or `[T, J, 3]` mm, a motion that is played once (then `frames` is T).
        image: photograph for the back wall, uint8 `[H, W, 3]`.
        frames: number of frames.
        joint_set, joint_mask, size, elevation, axes: see `figures.figure_3d`; the mask may have the axis T too.
        ghost: a pose or motion to compare with, drawn in grey.
        swing: degrees that the viewer goes to either side of the camera's direction; 180 or more is a full turn. By
            default a full turn, and 50 with a photograph, whose face is then always seen.

    Yields:
        uint8 `[height, width, 3]`, all at one scale.

    Raises:
        InputError: for a pose or picture of the wrong shape or type, or fewer than one frame.
    """
    moving = np.ndim(poses_3d) == 3
    skeleton = drawing.skeleton_of(joint_set)
    poses, drawn = drawing.checked_poses(poses_3d, skeleton, 3, joint_mask)
    frames = len(poses) if moving else int(frames)
    if frames < 1:
        raise InputError(f"film: expected at least one frame, got {frames}")
    everything, usable = poses, drawn
    if ghost is not None:
        ghosts, ghosts_drawn = drawing.checked_poses(ghost, skeleton, 3)
        if len(ghosts) not in (1, len(poses)):
            raise InputError(f"film: {len(poses)} poses, but {len(ghosts)} to compare with")
        everything, usable = np.concatenate([poses, ghosts]), np.concatenate([drawn, ghosts_drawn])
    aspect = 1.0 if image is None else drawing.checked_image(image).shape[1] / np.shape(image)[0]
    room = figures.room_around(everything, usable, aspect, image is not None)
    turn = 2 * np.pi * np.arange(frames) / frames
    swing = swing if swing is not None else 50.0 if image is not None else 180.0
    azimuths = np.degrees(turn) if swing >= 180 else swing * np.sin(turn)
    for n in range(frames):
        k = n if moving else 0
        other = None if ghost is None else ghosts[k if len(ghosts) > 1 else 0]
        place = (size, float(azimuths[n]), elevation, axes, room, azimuths)
        yield figures.figure_3d(poses[k], image, joint_set, drawn[k], other, *place)


def write_animation(
    path: str | os.PathLike, frames: Iterable[np.ndarray], fps: float = 24, overwrite: bool = False
) -> pathlib.Path:
    """Writes frames as a film, `.gif` (endless) or `.mp4`, under a temporary name first; returns the path.

    Frames are taken one at a time for MP4, so any number fits in memory. A GIF shows a frame for a whole number of
    hundredths of a second, at least two, and joins equal neighbours to one frame that is shown longer. An MP4 has even
    sides: an odd one is extended by repeating its last row or column.

    Args:
        path: where to; the ending names the format.
        frames: iterable of uint8 `[H, W, 3]` BGR, all of one size.
        fps: frames per second.
        overwrite: whether an existing file may be replaced.

    Raises:
        InputError: for another ending, an existing file, no frames, frames of different sizes, a folder that cannot be
            written, or a codec that cannot be opened.
    """
    path = pathlib.Path(path)
    writers = {".gif": _write_gif, ".mp4": _write_mp4}
    if path.suffix.lower() not in writers:
        raise InputError(f"{path}: films are written as .gif or .mp4")
    if not fps > 0:
        raise InputError(f"{path}: frames per second must be above 0, got {fps}")
    outputs.check_free(path, overwrite)
    if not path.parent.is_dir():
        raise InputError(f"{path}: its folder does not exist")
    with atomic.write_file(path) as temporary:
        writers[path.suffix.lower()](temporary, _of_one_size(frames, path), fps, path)
    return path


def _of_one_size(frames: Iterable[np.ndarray], path: str | os.PathLike) -> Iterator[np.ndarray]:
    """The frames, checked one by one."""
    shape: tuple[int, ...] = ()
    for number, frame in enumerate(frames):
        frame = drawing.checked_image(frame)
        if shape not in ((), frame.shape):
            raise InputError(f"{path}: frame {number} is {list(frame.shape)}, the first one {list(shape)}")
        shape = frame.shape
        yield frame
    if not shape:
        raise InputError(f"{path}: a film needs at least one frame")


def _write_gif(temporary: str | os.PathLike, frames: Iterable[np.ndarray], fps: float, path: str | os.PathLike) -> None:
    from PIL import Image

    pictures = [Image.fromarray(frame[..., ::-1].copy()) for frame in frames]
    # One palette for all frames, taken from several of them: colours of its own in each frame would flicker.
    samples = pictures[:: max(1, len(pictures) // 8)]
    strip = Image.fromarray(np.concatenate([np.asarray(picture) for picture in samples]))
    palette = strip.quantize(256, method=Image.Quantize.MEDIANCUT)
    colours = np.array(palette.getpalette()).reshape(-1, 3)
    colours[colours.min(1) >= 248] = 255  # the means of the lightest boxes are a little grey; the background is white
    palette.putpalette(colours.ravel().tolist())
    pictures = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    duration = max(20, round(100 / fps) * 10)
    pictures[0].save(temporary, save_all=True, append_images=pictures[1:], duration=duration, loop=0, optimize=False)


def _write_mp4(temporary: str | os.PathLike, frames: Iterable[np.ndarray], fps: float, path: str | os.PathLike) -> None:
    import cv2

    writer = None
    try:
        for frame in frames:
            frame = np.pad(frame, [(0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)], "edge")
            if writer is None:
                writer = cv2.VideoWriter(str(temporary), _MP4V, fps, frame.shape[1::-1])
                if not writer.isOpened():
                    raise InputError(f"{path}: this OpenCV cannot open its mp4v codec; write a .gif instead")
            writer.write(frame)
    finally:
        if writer is not None:
            writer.release()
