"""What the user asked `generate.py` for: the one object that its flags become."""

from __future__ import annotations

import dataclasses
import pathlib

from label_generator.labelling import cameras, formats, inputs
from label_generator.lifting.api import MIN_VISIBILITY
from tfrecords.exports import formats as label_formats
from tfrecords.storage import manifest
from tools.cli.command import Flags
from tools.cli.errors import InputError
from tools.files import remote
from tools.files.decisions import Decisions
from tools.pose import bounds, joints

# The file of labels in the output folder.
LABELS = "labels.npz"
# The formats that each of these flags of the input is for.
_FORMATS_OF_FLAGS = {
    "joints": ("array", "openpose", "coco_results", "videopose3d", "mmpose", "mediapipe", "yolo", "deeplabcut"),
    "key": ("array",),
    "layout": ("array", "npy_tree", "mpii_lsp"),
    "permutation": ("array", "npy_tree", "mpii_lsp"),
    "min_confidence": ("array", "openpose", "coco_results", "videopose3d", "mmpose", "mediapipe", "yolo", "deeplabcut")
    + ("predictions", "photographs"),
    "detector": ("photographs",),
    "body_head": ("photographs",),
    "every_seconds": ("photographs",),
    "overlays": ("photographs",),
    "frame_step": ("openpose", "npy_tree", "videopose3d"),
}


@dataclasses.dataclass(frozen=True)
class LabellingOptions:
    """One run of `generate.py`; see its flags, of which the fields have the names.

    Attributes:
      spec: the input. camera: the camera that is assumed for it.
      decisions: those of a review (--keep), None without one.
    """

    spec: inputs.Spec
    camera: cameras.CameraChoice
    output: str
    batch_size: int = 4096
    min_quality: float = 0.0
    formats: tuple[str, ...] = ("npz",)
    names: str = "cgspeed"
    unlabelled: bool = False
    images: str = ""
    output_joints: str = ""
    correct_joints: bool = True
    overwrite: bool = False
    precision: str = "float32"
    detector: str = "mediapipe"
    body_head: str = ""
    every_seconds: float = 0.0
    overlays: bool = True
    sequence: bool | None = None
    one_person: bool = False
    fps: float = 0.0
    decisions: Decisions | None = None

    @classmethod
    def of_flags(cls, flags: Flags) -> LabellingOptions:
        """The options of the flags of `generate.py`.

        Raises:
          InputError: a bad value, or a flag that this input has no use for.
        """
        if not 0 <= flags.min_quality <= 1:  # neither is nan
            raise InputError(f"--min_quality={flags.min_quality:g}: qualities are between 0 and 1")
        bounds.check_fps(flags.fps, "fps")
        if flags.output_joints:
            joints.joint_set(flags.output_joints)  # raises what there are
        image_size = parse_image_size(flags.image_size)
        camera = cameras.parse_camera(flags.camera, image_size)
        kind = _guess_format(flags.input) if flags.format == "auto" else flags.format
        usual = kind == "photographs" and not flags.given("min_confidence")
        spec = inputs.Spec(
            path=flags.input,
            format=kind,
            joints=flags.joints,
            key=flags.key,
            layout="" if flags.layout == "auto" else flags.layout,
            min_confidence=MIN_VISIBILITY if usual else flags.min_confidence,
            split=flags.split,
            permutation=joints.parse_permutation(flags.permutation, None),
            frame_step=flags.frame_step,
            image_size=image_size,
            limit=flags.limit,
        )
        old = {"wild": flags.wild_npy, "tfrecord": flags.tfrecords}
        chosen = label_formats.parse([*(flags.formats or []), *(name for name, given in old.items() if given)])
        _check_used(flags, spec.format, chosen)
        of_the_same_name = (field.name for field in dataclasses.fields(cls) if field.name not in _NOT_FLAGS)
        return cls(
            spec=spec,
            camera=camera,
            formats=chosen,
            decisions=Decisions(flags.keep) if flags.keep else None,
            **{name: getattr(flags, name) for name in of_the_same_name},
        )

    @property
    def folder(self) -> pathlib.Path:
        """The output folder."""
        return remote.place(self.output)


_NOT_FLAGS = ("spec", "camera", "formats", "decisions")


def _guess_format(path: str) -> str:
    """The format of the input; of an address it is known by the manifest there, or by a copy on this machine."""
    if remote.is_remote(path):
        place = remote.place(path)
        if ".tfrecord" in place.name or place.name == manifest.NAME or (place / manifest.NAME).exists():
            return "tfrecords"
        path = str(remote.fetched(path))
    return formats.guess_format(path)


def parse_image_size(words: list[str] | None) -> tuple[int, int] | None:
    """(width, height) px of ``--image_size``, None when it was not given; raises `InputError` when it is none."""
    if not words:
        return None
    try:
        width, height = (int(word) for word in words)
    except ValueError:
        width = height = 0
    if not bounds.good_size(width, height):
        raise InputError(f"--image_size={','.join(words)}: expected WIDTH,HEIGHT in px, of 1 to 100,000 each")
    return width, height


def _check_used(flags: Flags, kind: str, chosen: tuple[str, ...]) -> None:
    """Raises `InputError` for a flag that this format has no use for."""
    for name, kinds in _FORMATS_OF_FLAGS.items():
        if flags.given(name) and kind not in kinds:
            raise InputError(f"--{name}: is for {', '.join(kinds)} input; this is {kind}")
    if flags.split and kind in ("array", "tfrecords"):
        raise InputError(f"--split: {kind} input has no splits")
    if flags.limit and kind == "photographs" and flags.input.lower().endswith(".npz"):
        raise InputError(
            f"--limit: is for the photographs themselves; {flags.input} is of people that were found in them"
        )
    if flags.images and not {"tfrecord", "mp4"} & set(chosen):
        raise InputError("--images: goes with --tfrecords, or --formats=mp4")
    if flags.unlabelled and "tfrecord" not in chosen:
        raise InputError("--unlabelled: goes with --tfrecords")
    if flags.given("names") and "bvh" not in chosen:
        raise InputError("--names: goes with --formats=bvh")
    if flags.sequence is False and set(chosen) & set(label_formats.OF_SEQUENCES):
        raise InputError(f"--nosequence: {', '.join(label_formats.OF_SEQUENCES)} are of sequences")
