"""Make 3D labels in millimetres, each with an estimate of its quality, from photographs, videos or 2D key points.

    python label_generator/generate.py --input=photos/ --output=labels           a folder, a picture, 'photos/*.jpg'
    python label_generator/generate.py --input=walk.mp4 --output=labels          a video; people keep their numbers
    python label_generator/generate.py --input=keypoints.json --output=labels    2D poses in many formats

Writes labels.npz and summary.json into --output; row i of labels.npz is pose i of the input, with a reason where there
is no label. For photographs and videos it also writes people.npz (33 key points of each person) and pictures with the
2D and 3D skeletons. An interrupted run resumes when the same command is given again.
"""

from __future__ import annotations

import sys

from label_generator.lifting import lifter_flags
from tools.cli import command
from tools.engines import engine

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
    "predictions",
    "openpose",
    "mpii",
    "lsp",
    "aichallenger",
    "mpii_lsp",
    "npy_tree",
    "tfrecords",
    "photographs",
)


def declare() -> command.Flags:
    """The flags of this command."""
    flags = command.Flags(__doc__, dry_run=True)
    with flags.group("Input"):
        flags.string(
            "input",
            None,
            "photographs or a video (file, folder or pattern), or 2D poses (file or folder): COCO JSON, OpenPose, "
            "MPII, LSP, AIChallenger, .npz, .npy, .csv, ...",
        )
    with flags.group("People in photographs"):
        flags.enum(
            "detector",
            "mediapipe",
            ["mediapipe", "mediapipe_only", "baseline", "hog"],
            "source of people and key points. mediapipe: MediaPipe's pose models, corrected by the body head (research "
            "weights); mediapipe_only: without the body head; baseline: the baseline network in "
            "MediaPipe's boxes; hog: the baseline network in the boxes of OpenCV's people detector",
        )
        flags.string(
            "body_head",
            "",
            "folder with a body head of your own (train_body_head.py), for --detector=mediapipe; '': the shipped one",
        )
        flags.float(
            "every_seconds",
            0.0,
            "videos: shortest time between two frames that are used; 0: every frame",
            lower_bound=0,
        )
        flags.boolean("overlays", True, "draw 2D and 3D skeletons: pictures in overlays/, for videos .mp4")
    with flags.group("2D poses"):
        flags.enum("format", "auto", _FORMATS, "format of --input; auto: recognised from its name and content")
        flags.string(
            "joints",
            "",
            "joint set of plain arrays, such as pose17, h36m17, coco17, mpii16 (docs/joints.md); missing joints are"
            " NaN, of confidence 0, or at exactly 0,0",
        )
        flags.string("key", "", "name of the array to read from an .npz")
        flags.enum(
            "layout", "auto", ["auto", "planar", "interleaved"], "rows of plain arrays: x..., y... or x0 y0 x1 ..."
        )
        flags.strings("permutation", None, "for each joint i of the joint set, its index in the array")
        flags.float(
            "min_confidence",
            0.0,
            "joints whose confidence is not above this are treated as missing; for photographs it applies to the "
            "landmarks' visibility, and is 0.1 if not given",
        )
        flags.string("split", "", "split of a data set to read: train, val or test; not given: all of it")
        flags.integer(
            "limit",
            0,
            "a trial: only so many poses, pictures or frames of a video, from the start; 0: all",
            lower_bound=0,
        )
        flags.integer("frame_step", 1, "take every n-th frame of sequences", lower_bound=1)
        flags.string(
            "keep",
            "",
            "decisions.json of a review (tools/review.py): dropped poses get no label, swapped sides are exchanged",
        )
    with flags.group("Camera"):
        flags.string(
            "camera",
            "auto",
            "fx,fy,cx,cy: intrinsics in px; fov:DEGREES: field of view across the picture's width; h36m: Human3.6M's "
            "intrinsics, as the paper assumes; unknown: scaled to a nominal distance of 5 m; auto: the calibration in "
            "each record; where there is none, a focal length of the picture's diagonal if its size is known, else "
            "unknown",
        )
        flags.strings(
            "image_size",
            None,
            "width,height of the pictures in px, where the input does not contain it; for --camera=auto "
            "and fov, and for relative coordinates",
        )
    with flags.group("Lifting"):
        flags.boolean(
            "correct_joints",
            True,
            "move joints that their data set puts elsewhere (MPII's crown and hips) to the reference skeleton's "
            "places before lifting (docs/joints.md)",
        )
        lifter_flags.declare_weights(flags)
        lifter_flags.declare_refinement(flags)
        flags.integer("batch_size", 4096, "poses in one batch", lower_bound=1, upper_bound=1 << 20)
    with flags.group("Sequences"):
        flags.boolean(
            "sequence",
            None,
            "frames of one person agree: constant bone lengths, a smooth path (default: where the input has sequences)",
        )
        flags.boolean(
            "one_person",
            False,
            "all poses of the input are of one person: bone lengths are estimated from all of them and are the same in "
            "every label",
        )
        flags.float("fps", 0.0, "frames per second of sequences; 0: the input's own, else 30", lower_bound=0)
    with flags.group("Geometric search"):
        lifter_flags.declare_search(flags)
    with flags.group("What is written"):
        flags.string("output", None, "folder for labels.npz; created when needed")
        flags.float("min_quality", 0.0, "labels of lower quality are set to NaN, with that reason", lower_bound=0)
        flags.strings(
            "formats",
            ["npz"],
            "npz: labels.npz, always; json, coco (with keypoints_3d), csv, tfrecord, wild (as the authors published"
            " theirs); of sequences also bvh, c3d and mp4 (docs/formats.md)",
        )
        flags.enum("names", "cgspeed", ["cgspeed", "mixamo", "h36m"], "what joints are called in BVH")
        flags.boolean("wild_npy", False, "the same as --formats=wild")
        flags.boolean("tfrecords", False, "the same as --formats=tfrecord")
        flags.boolean("unlabelled", False, "also write people without a label to tfrecords/, with their 2D pose only")
        flags.string(
            "images",
            "",
            "folder of the pictures for records and films, or the video for films (default: the photographs or video "
            "of --input); 'none' leaves them out",
        )
        flags.string(
            "output_joints",
            "",
            "write poses_3d_SET.npy too: the labels as joint set SET, such as h36m17, coco17, smpl24, mpii16, by its "
            "order and rules; for the first three also where those have the joints, not where the input has them",
        )
        flags.boolean("overwrite", False, "replace labels that lie in --output")
    engine.declare(flags, "the lifting of 2D poses")
    return flags


def main(flags: command.Flags) -> int:
    """Labels, and prints a summary."""
    flags.require("input", "output")
    from label_generator.labelling import run

    return run.generate(flags)


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
