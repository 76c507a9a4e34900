"""Evaluate the label generator against 3D ground truth: on TFRecords, or on protocols made from motion capture.

    python label_generator/evaluate.py --test_data=records/test
    python label_generator/evaluate.py --protocol=all --motion=mocap_dev.npz --cameras=h36m_camera_parameters.json
    python label_generator/evaluate.py --h36m=h36m_s11.npz
    python label_generator/evaluate.py --photos=lsp_joints.mat,coco_people_keypoints.json,no_people.tar

Prints MPJPE, P-MPJPE, N-MPJPE, 3DPCK, AUC, PCKh of the right view and the error of the root's depth, before and after
the geometric search, and how well quality ranks the labels; writes table, JSON and plots to --output. With --photos it
measures the detection of people and key points in photographs instead.
"""

from __future__ import annotations

from label_generator.lifting import lifter_flags
from tools.cli import command
from tools.cli.errors import InputError
from tools.files import sent


def declare() -> command.Flags:
    """The flags of this command."""
    flags = command.Flags(__doc__, dry_run=True)
    with flags.group("What is measured"):
        lifter_flags.declare_weights(flags)
        flags.string("test_data", "", "TFRecords with 3D poses (folder, manifest or glob)")
        flags.strings(
            "protocol",
            [],
            "a, b2, b5, b10, c, d, e, e_mpii, e_coco, f_h36m, f_3dhp, f_smpl, f_coco, g, g_coco, h, h_unknown, or all; "
            "needs --motion",
        )
        flags.string("h36m", "", "real views with measured 3D, of Human3.6M for example: .npz (evaluation/measured.py)")
        flags.enum(
            "detected",
            "",
            ["", "all", "same"],
            "with --h36m: lift the detections in that file instead of exact 2D. all: every joint; "
            "same: only joints that "
            "have the same definition as the ground truth",
        )
        flags.strings(
            "photos",
            [],
            "photographs to evaluate detection on: LSP's joints.mat or an .npz of --source=photos: PCKh; key points in "
            "COCO's format .json: recall, precision; folders or .tar of pictures without people: false positives",
        )
        flags.enum(
            "detector",
            "mediapipe",
            ["mediapipe", "mediapipe_only"],
            "with --photos: MediaPipe's pose models corrected by the body head, or without it",
        )
        flags.string(
            "body_head",
            "",
            "with --photos: folder with a body head of your own (train_body_head.py); '': the shipped one",
        )
        flags.string("motion", "", "motion capture for the protocols: .npz, .bvh or a folder of .bvh")
        flags.string("cameras", "", "Human3.6M's cameras (.json or cameras.h5), which a, b, e and g need")
        flags.string("split", "all", "all, train or val of the motion capture")
        flags.integer("frame_step", 1, "take every n-th frame", lower_bound=1)
        flags.integer(
            "limit", 0, "largest number of TFRecords, or of photographs of each source; 0: all", lower_bound=0
        )
        flags.integer("seed", 0, "random seed of the protocols' cameras and noise", lower_bound=0)
    with flags.group("How poses are lifted (default: as the weights' recipe says)"):
        flags.enum(
            "right_view",
            "predicted",
            ["predicted", "true"],
            "right view that is the input of the second network: predicted or ground truth",
        )
        lifter_flags.declare_search(flags)
        lifter_flags.declare_refinement(flags)
        flags.float(
            "fps",
            0.0,
            "also evaluate whole clips at this frame rate, with temporal refinement (--sequence of generate.py); 0: no",
            lower_bound=0,
        )
        flags.boolean(
            "one_person",
            False,
            "also evaluate with each person's bone lengths estimated from all of their poses (--one_person of "
            "generate.py): people of equal skeletons, of the records' subjects, or all of an .npz without them",
        )
    with flags.group("Report"):
        flags.string(
            "nearest",
            "",
            "also print the errors by the distance from the nearest pose of this motion capture, such as that which "
            "the network was trained on (.npz, .bvh or a folder of .bvh)",
        )
        flags.boolean("actions", False, "also print the table per action")
        flags.string("output", "", "folder, or address, for table.md, figures.json and plots")
        flags.string(
            "calibrate", "", "calibrate label quality on these poses and write quality.json to this weights folder"
        )
        flags.float(
            "widen",
            1.0,
            "with --calibrate: multiply the expected errors by this factor, for data harder than these poses",
        )
        flags.boolean("overwrite", False, "replace what is in --output, or the calibration that is there")
    return flags


def main(flags: command.Flags) -> int:
    """Measures, and prints tables."""
    return sent.run(_evaluate, flags)


def _evaluate(flags: command.Flags) -> int:
    if sum(map(bool, (flags.test_data, flags.protocol, flags.h36m, flags.photos))) != 1:
        raise InputError("give one of --test_data, --protocol, --h36m and --photos (see --help)")
    if flags.photos:
        from label_generator.evaluation import photographs

        return photographs.evaluate(flags)
    if flags.protocol and not flags.motion:
        raise InputError("--protocol needs --motion, the motion capture it is made from")
    if not (flags.widen > 0 and (flags.calibrate or flags.widen == 1.0)):
        raise InputError(f"--widen={flags.widen:g}: goes with --calibrate, and is above 0")
    _check_used(flags)
    from label_generator.evaluation import run

    return run.evaluate(flags)


def _check_used(flags: command.Flags) -> None:
    """Raises `InputError` for a flag that would be ignored."""
    goes_with = {
        "motion": ("protocol",),
        "cameras": ("protocol",),
        "split": ("protocol",),
        "seed": ("protocol",),
        "frame_step": ("protocol", "h36m"),
        "detected": ("h36m",),
        "detector": ("photos",),
        "body_head": ("photos",),
        "limit": ("test_data",),
        "nearest": ("protocol", "h36m", "test_data"),
    }
    for name, others in goes_with.items():
        if flags.given(name) and not any(getattr(flags, other) for other in others):
            raise InputError(f"--{name}: goes with --{others[0]}")


if __name__ == "__main__":
    command.run(main, declare)
