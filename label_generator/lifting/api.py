"""The label generator for other programs: NumPy arrays in, a dataclass of NumPy arrays out.

import label_generator as lg

labels = lg.lift(poses_2d, joints="coco17", camera="fov:60", image_size=(1920, 1080))
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Callable, Union

import numpy as np

from label_generator.lifting import joint_places
from tools.cli.errors import InputError
from tools.pose import bounds, cameras
from tools.pose import joints as joint_sets

# Landmarks of photographs of a lower visibility are guesses.
MIN_VISIBILITY = 0.1
Camera = Union[str, Sequence[float], np.ndarray, None]
# Poses lifted at once: enough to keep the processor busy, few enough that 100,000 poses need no more memory than these.
_AT_ONCE = 4096


@dataclasses.dataclass(frozen=True)
class Labels:
    """3D labels of N poses, in the order of the input. A pose without a label has NaN everywhere and a reason.

    Attributes:
      poses_3d: [N, 17, 3] float32 mm relative to the root (Hip), joints of `pose17`; x right, y down, z away.
      roots: [N, 3] float32 mm, the root in camera axes; nominal where the camera is unknown.
      quality: [N] float32, 0 to 1: exp(-expected MPJPE / 100 mm).
      joint_quality: [N, 17] float32, the same for each joint.
      expected_error_mm: [N] float32, the MPJPE to be expected.
      nominal: [N] bool, whether the camera was unknown, so that `roots` mean nothing, or assumed by the picture's size,
        so that distances are as uncertain as that.
      reasons: N texts, '' where there is a label.
    """

    poses_3d: np.ndarray
    roots: np.ndarray
    quality: np.ndarray
    joint_quality: np.ndarray
    expected_error_mm: np.ndarray
    nominal: np.ndarray
    reasons: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.quality)

    @property
    def labelled(self) -> np.ndarray:
        """[N] bool, which poses have a label."""
        return np.array([not reason for reason in self.reasons], bool)


@dataclasses.dataclass(frozen=True)
class People:
    """The people of one picture, as `detect` returns and `lift` takes them.

    Attributes:
      poses_2d: [N, 33, 2] float32 px of the upright picture, key points of joint set `joints`; x right, y down.
      confidences: [N, 33] float32, 0 to 1: MediaPipe's visibility; 0 outside of what its network looked at.
      boxes: [N, 4] float32 px: x, y, width, height.
      joints: 'mediapipe33'.
      image_size: width, height px.
    """

    poses_2d: np.ndarray
    confidences: np.ndarray
    boxes: np.ndarray
    joints: str
    image_size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.poses_2d)


class PoseLifter:
    """Trained networks with the rules around them, loaded once and called for any number of poses."""

    def __init__(self, weights: str | os.PathLike | None = None, precision: str = "float32", **settings: Any):
        """Loads weights.

        Args:
          weights: folder of trained networks; None: those that come with the project.
          precision: of the networks' matrix products: 'float32', 'bfloat16' or 'float16'.
          settings: fields of `label_generator.lifting.lifter.LifterSettings` that differ from the recipe's.

        Raises:
          InputError: no weights there, or a setting that there is none of.
        """
        _quiet_start()
        import tensorflow as tf

        from label_generator.lifting import lifter
        from label_generator.lifting import settings as settings_module
        from label_generator.networks import network_files

        folders = [weights if weights is not None else lifter.SHIPPED]
        networks = network_files.find_networks(folders)
        recipe = settings_module.used_networks(networks)[0].recipe
        try:
            chosen = dataclasses.replace(lifter.RECIPE_SETTINGS[recipe], **settings)
        except TypeError:
            names = ", ".join(field.name for field in dataclasses.fields(lifter.LifterSettings))
            raise InputError(f"settings {', '.join(settings)}: there are {names}") from None
        # The published networks know one camera: a person scaled to its nominal distance suits them better.
        self._canonical = recipe == "canonical"
        self._run: Callable[..., Any] = lifter.load_lifter(folders, chosen, tf.as_dtype(precision)).lift

    @classmethod
    def from_saved_model(cls, folder: str | os.PathLike) -> PoseLifter:
        """The chain that `label_generator/export.py` wrote; raises `InputError` when there is none."""
        _quiet_start()
        import tensorflow as tf

        if not os.path.isfile(os.path.join(folder, "saved_model.pb")):
            raise InputError(f"{folder}: no saved_model.pb; expected what label_generator/export.py writes")
        signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
        made = cls.__new__(cls)
        made._canonical = True
        made._run = lambda poses, intrinsics, mask: signature(
            poses_2d=tf.constant(poses), intrinsics=tf.constant(intrinsics), joint_mask=tf.constant(mask)
        )
        return made

    def lift(
        self,
        poses_2d: np.ndarray | People,
        joints: str = "pose17",
        camera: Camera = "auto",
        image_size: tuple[int, int] | None = None,
        confidences: np.ndarray | None = None,
        min_confidence: float = 0.0,
    ) -> Labels:
        """3D labels of 2D poses.

        Args:
          poses_2d: [N, J, 2] px (or [J, 2] for one), x right, y down, without lens distortion; NaN at missing joints.
            Or the `People` of `detect`, which bring joints, confidences and image size with them; their joints of a
            visibility up to 0.1 are missing, or up to `min_confidence` where that is higher.
          joints: name of their joint set, J joints (docs/joints.md). MPII's hips and crown are brought to the reference
            skeleton's places.
          camera: 'unknown', 'h36m', 'fov:DEGREES' (with `image_size`), or intrinsics fx, fy, cx, cy px, [4] or [N, 4].
            'auto': where `image_size` is given, a focal length of the picture's diagonal (with weights of the canonical
            recipe), otherwise unknown.
          image_size: width, height px.
          confidences: [N, J]; a joint with a confidence not above `min_confidence` is missing.

        Raises:
          InputError: shapes that do not fit, what are no real numbers, confidences or a size of the picture
            out of bounds, or an unknown joint set or camera.
        """
        if isinstance(poses_2d, People):
            joints, confidences = poses_2d.joints, poses_2d.confidences
            image_size = image_size or poses_2d.image_size
            min_confidence = max(min_confidence, MIN_VISIBILITY)
            poses_2d = poses_2d.poses_2d
        poses = _numbers(poses_2d, "poses_2d")
        if poses.ndim == 2:
            poses = poses[None]
        size = joint_sets.joint_set(joints).size
        if poses.ndim != 3 or poses.shape[1:] != (size, 2):
            raise InputError(f"poses_2d of joint set {joints} are [N, {size}, 2] px, not {list(np.shape(poses_2d))}")
        if confidences is not None:
            given = _numbers(confidences, "confidences")
            if given.shape not in (poses.shape[:2], poses.shape[1:2] if len(poses) == 1 else None):
                raise InputError(f"confidences are {list(poses.shape[:2])}, not {list(given.shape)}")
            odd = given[(given < 0) | (given > bounds.LARGEST_CONFIDENCE)]
            if odd.size:
                raise InputError(f"confidences: {odd[0]:g}: expected numbers of 0 to {bounds.LARGEST_CONFIDENCE:g}")
            poses = np.where((given > min_confidence).reshape(*poses.shape[:2], 1), poses, np.nan)
        if image_size is not None:
            image_size = _checked_size(image_size)
        by_size = self._canonical and isinstance(camera, str) and camera == "auto" and image_size is not None
        if by_size:
            intrinsics = np.tile(cameras.intrinsics_from_size(np.asarray(image_size)), (len(poses), 1))
        else:
            intrinsics = _intrinsics(camera, image_size, len(poses))
        converted, provenance = joint_sets.convert(poses, joints)
        mask = provenance == joint_sets.LABELLED
        if self._canonical:
            converted = joint_places.corrected(converted, mask, joints)
        parts = [
            self._labels_of(converted[i : i + _AT_ONCE], intrinsics[i : i + _AT_ONCE], mask[i : i + _AT_ONCE])
            for i in range(0, len(poses), _AT_ONCE)
        ]
        labels = _joined(parts)
        return dataclasses.replace(labels, nominal=np.ones(len(labels), bool)) if by_size else labels

    def stream(self, poses_2d: Iterable[np.ndarray], **options: Any) -> Iterator[Labels]:
        """Yields the label of each pose as it comes, [J, 2] each; options as for `lift`."""
        for pose in poses_2d:
            yield self.lift(np.asarray(pose)[None] if np.ndim(pose) == 2 else pose, **options)

    def _labels_of(self, poses: np.ndarray, intrinsics: np.ndarray, mask: np.ndarray) -> Labels:
        from label_generator.lifting.settings import REASONS

        lifted = self._run(poses, intrinsics, mask)
        values = lifted if isinstance(lifted, dict) else lifted._asdict()
        return Labels(
            poses_3d=values["pose_3d"].numpy(),
            roots=values["root_3d"].numpy(),
            quality=values["quality"].numpy(),
            joint_quality=values["joint_quality"].numpy(),
            expected_error_mm=values["expected_error_mm"].numpy(),
            nominal=values["nominal"].numpy(),
            reasons=tuple(REASONS[code] for code in values["reason"].numpy()),
        )


def lift(poses_2d: np.ndarray | People, joints: str = "pose17", camera: Camera = "auto", **options: Any) -> Labels:
    """3D labels of 2D poses with the weights that come with the project, which are loaded by the first call.

    Args and errors: as `PoseLifter.lift`.
    """
    return _shipped().lift(poses_2d, joints, camera, **options)


@functools.cache
def _shipped() -> PoseLifter:
    return PoseLifter()


def _quiet_start() -> None:
    """TensorFlow's notices of its start (CUDA's plug-ins, the processor's instructions) stay off the terminal, unless
    it is imported already or TF_CPP_MIN_LOG_LEVEL is set: errors are exceptions."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _numbers(values: Any, name: str) -> np.ndarray:
    """float32 of what a caller gave; `InputError` for what is no array of real numbers, such as a file's name."""
    try:
        array = np.asarray(values)
        if array.dtype.kind in "biufO":  # objects: None is a missing number
            return array.astype(np.float32)
        kind = "text" if array.dtype.kind in "US" else f"{array.dtype} values"
    except (TypeError, ValueError):
        kind = f"a {type(values).__name__} that is none"
    hint = "; of a picture, lg.detect gives them" if name == "poses_2d" and kind == "text" else ""
    raise InputError(f"{name}: expected an array of real numbers, got {kind}{hint}")


def _checked_size(size: Any) -> tuple[int, int]:
    """Width and height px; `InputError` unless they are a picture's."""
    values = _numbers(size, "image_size")
    if values.shape != (2,) or not bounds.good_size(*values.tolist()):
        raise InputError(f"image_size: expected width and height of 1 to {bounds.LARGEST_SIDE_PX:,} px, got {size}")
    return size[0], size[1]


def _intrinsics(camera: Camera, image_size: tuple[int, int] | None, count: int) -> np.ndarray:
    """[count, 4] fx, fy, cx, cy px, NaN where unknown."""
    if camera is None or (isinstance(camera, str) and camera in ("unknown", "auto")):
        return np.full((count, 4), np.nan, np.float32)
    if isinstance(camera, str):
        if camera == "h36m":
            values = np.asarray(cameras.SEARCH_INTRINSICS, np.float32)
        else:
            if camera.startswith("fov") and image_size is None:
                raise InputError(f"camera='{camera}': a field of view needs image_size=(width, height)")
            values = np.asarray(cameras.parse_intrinsics(camera, image_size or (1000, 1000)), np.float32)
    else:
        values = _numbers(camera, "camera")
    if values.shape not in ((4,), (count, 4)):
        raise InputError(f"camera: intrinsics are [4] or [{count}, 4], not {list(values.shape)}")
    if values.shape == (4,) and not np.isnan(values).any() and not bounds.good_intrinsics(values):
        raise InputError(f"camera: intrinsics {values.tolist()}: {bounds.EXPECTED_INTRINSICS}")
    return np.broadcast_to(values, (count, 4)).astype(np.float32)


def _joined(parts: Sequence[Labels]) -> Labels:
    if not parts:
        nothing = np.zeros(0, np.float32)
        joint_count = joint_sets.POSE17.size
        return Labels(
            np.zeros((0, joint_count, 3), np.float32),
            np.zeros((0, 3), np.float32),
            nothing,
            np.zeros((0, joint_count), np.float32),
            nothing,
            np.zeros(0, bool),
            (),
        )
    arrays = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in dataclasses.fields(Labels)
        if field.name != "reasons"
    }
    return Labels(**arrays, reasons=tuple(reason for part in parts for reason in part.reasons))
