"""Make 3D labels for 2D poses: the whole chain, from key points in any format to millimetres with their quality.

Writes labels.npz and summary.json into --output; row i of labels.npz is pose i of the input, with a reason where there
is no label. A run that was stopped or killed goes on when the same command is given again.
"""

from __future__ import annotations

import sys

from label_generator.lifting import flags as lifter_flags
from tools.cli import command
from tools.cli.errors import InputError
from tools.files.decisions import Decisions

_FORMATS = (
    "auto",
    "array",
    "videopose3d",
    "coco",
    "coco_results",
    "mmpose",
    "mediapipe",
    "yolo",
    "deeplabcut",
    "openpose",
    "mpii",
    "lsp",
    "aichallenger",
    "mpii_lsp",
    "npy_tree",
    "tfrecords",
)


def declare() -> command.Flags:
    """The flags of this command."""
    flags = command.Flags(__doc__)
    with flags.group("2D poses"):
        flags.string(
            "input", None, "file or folder: COCO JSON, OpenPose, MPII, LSP, AIChallenger, .npz, .npy, .csv, ..."
        )
        flags.enum("format", "auto", _FORMATS, "of --input, where its name and content don't tell")
        flags.string(
            "joints",
            "",
            "joint set of plain arrays, such as pose17, h36m17, coco17, mpii16 (docs/joints.md); missing joints are"
            " NaN, of confidence 0, or at exactly 0,0",
        )
        flags.string("key", "", "which array of an .npz")
        flags.enum(
            "layout", "auto", ["auto", "planar", "interleaved"], "rows of plain arrays: x..., y... or x0 y0 x1 ..."
        )
        flags.strings("permutation", None, "one number for each joint: joint i is at place permutation[i] of the array")
        flags.float("min_confidence", 0.0, "detected joints with a confidence not above it are missing")
        flags.string("split", "", "train, val or test part of a data set; all of it when not given")
        flags.integer("frame_step", 1, "take every n-th frame of sequences", lower_bound=1)
        flags.string(
            "keep",
            "",
            "decisions.json of a review (tools/review.py): dropped poses get no label, swapped sides are put right",
        )
    with flags.group("Camera"):
        flags.string(
            "camera",
            "auto",
            "h36m: the published assumption; fx,fy,cx,cy in px; fov:DEGREES across the picture's width; unknown: scaled"
            " to a nominal distance of 5 m; auto: each record's own calibrated one, unknown where it has none",
        )
        flags.strings(
            "image_size",
            None,
            "width,height in px where the input does not tell it: for fov, for shares",
        )
    with flags.group("Lifting"):
        lifter_flags.declare_weights(flags)
        lifter_flags.declare_refinement(flags)
        flags.integer("batch_size", 4096, "poses lifted at once", lower_bound=1)
    with flags.group("Geometric search"):
        lifter_flags.declare_search(flags)
    with flags.group("What is written"):
        flags.string("output", None, "folder for labels.npz; made when needed")
        flags.float("min_quality", 0.0, "labels of a lower quality are blanked, with that reason", lower_bound=0)
        flags.boolean("json", False, "write labels.json too")
        flags.boolean("wild_npy", False, "write wild.npy too: (filename, 2D, 3D) as the authors published their labels")
        flags.boolean("tfrecords", False, "write tfrecords/ too, with pictures where the input has them")
        flags.boolean("unlabelled", False, "tfrecords/ also has the people who got no label, with their 2D pose alone")
        flags.string("images", "", "folder of the pictures for --tfrecords; 'none' leaves them out")
        flags.string(
            "output_joints",
            "",
            "write poses_3d_SET.npy too: the labels as joint set SET, such as h36m17, coco17, mpii16, by its order and "
            "rules; for h36m17 and coco17 also where those data sets have the joints, not where the input has them",
        )
        flags.boolean("overwrite", False, "replace labels that lie in --output")
    return flags


def main(flags: command.Flags) -> int:
    """Labels, and reports what came out."""
    flags.require("input", "output")
    if not 0 <= flags.min_quality <= 1:  # neither is nan
        raise InputError(f"--min_quality={flags.min_quality:g}: qualities are between 0 and 1")
    # Bad flags are told before TensorFlow is loaded, which takes seconds.
    from label_generator.labelling import cameras as label_cameras
    from label_generator.labelling import inputs as label_inputs
    from label_generator.labelling import run as label_run
    from label_generator.lifting import lifter_of_flags
    from tools.pose import joints

    if flags.output_joints:
        joints.joint_set(flags.output_joints)  # raises what there are
    camera = label_cameras.parse_camera(flags.camera, _image_size(flags.image_size))
    spec = label_inputs.Spec(
        path=flags.input,
        format=label_inputs.guess_format(flags.input) if flags.format == "auto" else flags.format,
        joints=flags.joints,
        key=flags.key,
        layout="" if flags.layout == "auto" else flags.layout,
        min_confidence=flags.min_confidence,
        split=flags.split,
        permutation=joints.parse_permutation(flags.permutation, None),
        frame_step=flags.frame_step,
        image_size=_image_size(flags.image_size),
    )
    _check_used(flags, spec.format)
    options = label_run.RunOptions(
        spec=spec,
        camera=camera,
        output=flags.output,
        batch_size=flags.batch_size,
        min_quality=flags.min_quality,
        json=flags.json,
        wild_npy=flags.wild_npy,
        tfrecords=flags.tfrecords,
        unlabelled=flags.unlabelled,
        images=flags.images,
        output_joints=flags.output_joints,
        overwrite=flags.overwrite,
        precision=flags.precision,
        decisions=Decisions(flags.keep) if flags.keep else None,
    )
    label_run.check_output(options)
    poses = label_inputs.open_input(spec)
    print(f"input: {poses.description}, {len(poses):,} poses", flush=True)
    lifter, fingerprint = lifter_of_flags.make_lifter(flags)
    label_run.run(options, poses, lifter, fingerprint)
    return 0


def _image_size(words) -> tuple[int, int] | None:
    if not words:
        return None
    try:
        width, height = (int(word) for word in words)
    except ValueError:
        width = height = 0
    if min(width, height) <= 0:
        raise InputError(f"--image_size={','.join(words)}: expected WIDTH,HEIGHT in px")
    return width, height


def _check_used(flags, kind: str) -> None:
    """Raises `InputError` for a flag that this format has no use for."""
    useful = {
        "joints": ("array", "coco_results", "videopose3d", "mmpose", "mediapipe", "yolo", "deeplabcut"),
        "key": ("array",),
        "layout": ("array", "npy_tree", "mpii_lsp"),
        "permutation": ("array", "npy_tree", "mpii_lsp"),
        "min_confidence": ("array", "coco_results", "videopose3d", "mmpose", "mediapipe", "yolo", "deeplabcut"),
        "frame_step": ("openpose", "npy_tree", "videopose3d"),
    }
    for name, kinds in useful.items():
        if flags.given(name) and kind not in kinds:
            raise InputError(f"--{name}: is for {', '.join(kinds)} input; this is {kind}")
    if flags.split and kind in ("array", "tfrecords"):
        raise InputError(f"--split: {kind} input has no splits")
    if flags.images and not flags.tfrecords:
        raise InputError("--images: goes with --tfrecords")
    if flags.unlabelled and not flags.tfrecords:
        raise InputError("--unlabelled: goes with --tfrecords")


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
