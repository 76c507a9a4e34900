"""Predict right views with a trained left2right network (not 3D poses: see generate.py).

    python label_generator/predict.py --load_dir=2dCam/ --save_dir=predict/ --weights=experiments/.../export

--load_dir is a directory tree, as in the original's model_h36m.py, or one .npy, as in its model_norm.py. For every file
[N, 34] (planar rows) or [N, 17, 2] of the tree, one of the same name is written below --save_dir. The network is read
from --weights, or from the experiment directory that the training flags below identify.
"""

from __future__ import annotations

import pathlib
import sys

from label_generator.training import training_flags
from tools.cli import command, common_flags, plans

_UNUSED = "the release declares it and never reads it; accepted, without effect"


def declare() -> command.Flags:
    """The flags of this command: the original's in its order, then this project's."""
    flags = command.Flags(__doc__, dry_run=True)
    with flags.group("The original's flags (without --weights, most name the experiment directory)"):
        flags.float("learning_rate", 1e-3, "of the training: names the experiment directory")
        flags.float("dropout", 1.0, "of the training: names the experiment directory; nothing is dropped here")
        flags.integer("batch_size", 64, "of the training: names the experiment directory", lower_bound=1)
        flags.integer("epochs", 200, "of the training: names the experiment directory", lower_bound=1)
        flags.boolean("camera_frame", False, _UNUSED)
        flags.boolean("max_norm", False, "of the training: names the experiment directory")
        flags.boolean("batch_norm", False, "of the training: names the experiment directory")
        flags.integer("linear_size", 1024, "of the training: names the experiment directory", lower_bound=1)
        flags.integer("num_layers", 2, "of the training: names the experiment directory", lower_bound=0)
        flags.boolean("residual", False, "of the training: names the experiment directory")
        flags.boolean("evaluateActionWise", False, "no effect: there is no ground truth here (see evaluate.py)")
        flags.string("cameras_path", "data/h36m/cameras.h5", _UNUSED)
        flags.string("data_dir", "data/h36m/", _UNUSED)
        flags.string("train_dir", "experiments", "folder of the experiment directories")
        flags.string("save_dir", "results/", "where the predicted right views go: a folder, or for one array a file")
        flags.string("load_dir", "load", "tree of .npy arrays of left-view poses, or one .npy")
        flags.boolean("use_cpu", False, "leave GPUs alone")
        flags.integer(
            "load",
            0,
            "which checkpoint: 0 for the last one, whose weights the training exported; others need --weights",
        )
        flags.boolean("use_fp16", False, "multiply matrices in float16")
        flags.boolean("predict_14", False, "of the training: names the experiment directory")
        flags.boolean("use_sh", False, _UNUSED)
    with flags.group("More"):
        flags.string("weights", None, "folder of the left2right network")
        flags.enum(
            "statistics",
            "train",
            ["train", "test", "input"],
            "mean and standard deviation for normalisation. train: of the training poses; test: of all poses in "
            "--load_dir; input: of each file's own pixels, not root-centred, as in the released scripts",
        )
        flags.strings(
            "permutation", None, "17 numbers: joint i is at place permutation[i]; right views are written in that order"
        )
        flags.boolean("overwrite", False, "replace arrays that lie in --save_dir")
    return flags


def main(flags: command.Flags) -> int:
    """Predicts, and prints where the right views lie."""
    if flags.use_cpu:
        common_flags.hide_gpus()
    from label_generator.lifting import right_view_prediction
    from tools.pose import joints

    source, target = pathlib.Path(flags.load_dir), pathlib.Path(flags.save_dir)
    if flags.dry_run:
        weights = flags.weights or training_flags.exported_weights(flags)
        arrays, results = right_view_prediction.preview(
            source, target, joints.parse_permutation(flags.permutation), flags.overwrite
        )
        return plans.show(flags, [*arrays, f"{weights}: weights"], ["every pose"], results)
    poses, files = right_view_prediction.predict_files(
        source,
        target,
        lambda: flags.weights or training_flags.exported_weights(flags),
        flags.statistics,
        "float16" if flags.use_fp16 else "float32",
        joints.parse_permutation(flags.permutation),
        flags.overwrite,
    )
    print(f"right view of {poses:,} poses in {files:,} file{'s' * (files != 1)}")
    print(f"written to {target}")
    flags.report.update(output=target, poses=poses, files=files, statistics=flags.statistics)
    return 0


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
