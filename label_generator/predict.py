"""Run a trained left -> right network over arrays of left-view 2D poses.

--load_dir is a directory tree, as the original's model_h36m.py takes it, or one .npy, as its model_norm.py; every file
[N, 34] (planar rows) or [N, 17, 2] of the tree has a partner of the same name below --save_dir. The network comes from
--weights, or from the experiment directory that the flags of its training name.
"""

from __future__ import annotations

import os
import pathlib
import sys

from tools.cli import command, common_flags, outputs
from tools.cli.errors import InputError
from tools.files import atomic

STAGE = "left2right"
_UNUSED = "the release declares it and never reads it; accepted, without effect"
_ROWS_AT_ONCE = 8192


def declare() -> command.Flags:
    """The flags of this command: the original's in its order, then this project's."""
    flags = command.Flags(__doc__)
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
        flags.boolean("evaluateActionWise", False, "no truth is at hand here: see evaluate.py")
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
            "poses are normalised with those of the training poses; of all poses in --load_dir; or, as the released "
            "scripts do it, of each file's own pixels, never root-centred, which un-normalise the answer too",
        )
        flags.strings("permutation", None, "17 numbers: joint i is at place permutation[i]; answers are in that order")
        flags.boolean("overwrite", False, "replace arrays that lie in --save_dir")
    return flags


def main(flags: command.Flags) -> int:
    """Predicts, and says where the right views lie."""
    from tools.pose import joints

    source, target = pathlib.Path(flags.load_dir), pathlib.Path(flags.save_dir)
    pairs = _pairs(source, target)
    outputs.check_all_free((path for _, path in pairs), flags.overwrite)
    permutation = joints.parse_permutation(flags.permutation)
    folder = flags.weights or _experiment(flags)
    if flags.use_cpu:
        common_flags.hide_gpus()
    arrays = [(path, _open(path, permutation)) for path, _ in pairs]

    from tools.cli.progress import Progress

    predictor = Predictor(folder, flags.statistics, "float16" if flags.use_fp16 else "float32")
    predictor.look_at(rows for _, array in arrays for rows in _pieces(array, permutation))
    total, done = sum(len(array) for _, array in arrays), 0
    print(f"{STAGE} network of {predictor.directory}, statistics '{flags.statistics}'", flush=True)
    with Progress(total, "poses") as progress:
        for (path, array), (_, result) in zip(arrays, pairs):
            _write(predictor, path, array, result, permutation)
            done += len(array)
            progress.update(done)
    print(f"right view of {total:,} poses in {len(pairs):,} file{'s' * (len(pairs) != 1)}")
    print(f"written to {target}")
    return 0


def _pairs(source: pathlib.Path, target: pathlib.Path) -> list[tuple[pathlib.Path, pathlib.Path]]:
    """(array, where its right view goes); a tree keeps its folders and names."""
    from tfrecords.conversion import clips

    if source.is_file():
        return [(source, target if target.suffix == ".npy" else target / source.name)]
    if not source.is_dir():
        raise InputError(f"{source}: no such file or folder (--load_dir: a tree of .npy arrays, or one)")
    if target.resolve() == source.resolve():
        raise InputError(f"{target}: --save_dir is --load_dir")
    files = clips.list_files(source, (".npy",), "a tree of .npy arrays of left-view poses")
    return [(path, target / path.relative_to(source)) for path in files]


def _experiment(flags) -> str:
    """The exported weights in the experiment directory that the flags name."""
    from label_generator.training import flags as training_flags

    folder = pathlib.Path(training_flags.experiment_directory(flags), "export")
    if not folder.is_dir():
        raise InputError(f"{folder}: no such weights of a finished training; name a folder with --weights")
    if flags.load:
        raise InputError(f"--load={flags.load}: a training exports its last checkpoint only; use --load=0 or --weights")
    return str(folder)


def _open(path, permutation):
    from tfrecords.formats import arrays

    array = arrays.open_npy(path)
    if arrays.dimensions(array.shape, str(path)) != 2:
        raise InputError(f"{path}: holds 3D poses, expected left-view 2D [N, 34] or [N, 17, 2]")
    arrays.check_layout(array, 2, "planar", permutation, str(path))
    return array


def _pieces(array, permutation):
    """Poses [n, 17, 2] float32 of an array in our order, piece by piece."""
    import numpy as np

    from tfrecords.formats import arrays

    for start in range(0, len(array), _ROWS_AT_ONCE):
        yield arrays.split_rows(np.asarray(array[start : start + _ROWS_AT_ONCE], np.float32), 2, "planar", permutation)


def _write(predictor, path, array, result, permutation) -> None:
    """Writes the right view of one array, in the array's own shape and order of joints."""
    import numpy as np

    from label_generator.stages import pose_rows

    result.parent.mkdir(parents=True, exist_ok=True)
    if not len(array):
        raise InputError(f"{path}: holds no pose")
    predict = predictor.for_file(path, lambda: _pieces(array, permutation))
    with atomic.write_file(result) as temporary:
        written = np.lib.format.open_memmap(temporary, "w+", np.float32, array.shape)
        start = 0
        for poses in _pieces(array, permutation):
            answer = predict(poses)
            if permutation is not None:
                answer = answer[:, np.argsort(permutation)]
            rows = pose_rows.to_rows(answer, "planar") if array.ndim == 2 else answer
            written[start : start + len(rows)] = rows
            start += len(rows)
        written.flush()


class Predictor:
    """A left -> right network with one of the three ways to normalise; see `normalization.normalizers`.

    Attributes:
      directory: the weights folder.
    """

    def __init__(self, folder: str | os.PathLike, statistics: str = "train", compute_dtype: str = "float32"):
        """Raises `InputError` when the folder holds no published left -> right network with statistics."""
        import tensorflow as tf

        from label_generator.lifting import published_chain
        from label_generator.networks import linear_model, network_files

        networks = network_files.find_networks([folder])
        if STAGE not in networks:
            raise InputError(f"{folder}: no network of stage {STAGE}, only {', '.join(networks)}")
        network = networks[STAGE]
        if network.recipe != "published":
            raise InputError(
                f"{network.directory}: a network of the {network.recipe} recipe, which reads no pixels of one assumed "
                "camera; generate.py runs it"
            )
        self.directory, self._mode = network.directory, statistics
        config, variables = published_chain.build_published(network)
        missing = {"input", "output"} - set(network.statistics)
        if missing:
            raise InputError(f"{network.directory}: has no normalisation statistics '{missing.pop()}'")
        self._input, self._output = network.statistics["input"], network.statistics["output"]
        self._test_input = None
        self._network = linear_model.folded(config, variables, compute_dtype=tf.as_dtype(compute_dtype))

    def _rows(self, poses, centred: bool):
        from label_generator.stages import pose_rows

        poses = pose_rows.root_centred(poses) if centred else poses
        return pose_rows.to_rows(poses, self._input.layout)

    def look_at(self, pieces) -> None:
        """Takes the test set's statistics from all of its poses where they are wanted.

        Args:
          pieces: arrays [n, 17, 2].
        """
        from label_generator.networks import normalization

        if self._mode == "test":
            gathered = normalization.Accumulator(self._input.layout, self._input.centred)
            for poses in pieces:
                gathered.update(self._rows(poses, self._input.centred))
            self._test_input = gathered.result()

    def for_file(self, path, pieces):
        """The function from left poses [n, 17, 2] px of one file to right poses [n, 17, 2].

        With 'train' and 'test' statistics the right poses are relative to their root; with 'input' they stand where
        the file's left poses stand on average, as the release has it.

        Args:
          pieces: function that returns the file's poses piece by piece.

        Raises:
          InputError: a pose that is not finite.
        """
        from label_generator.networks import normalization
        from label_generator.stages import pose_rows

        if self._mode == "train":
            going, coming = self._input, self._output
        elif self._mode == "test":
            going, coming = self._test_input, self._output
        else:
            gathered = normalization.Accumulator(self._input.layout, False)
            try:
                for poses in pieces():
                    gathered.update(self._rows(poses, False))
            except InputError as error:
                raise InputError(f"{path}: {error}") from None
            coming = gathered.result()
            going = normalization.blind_to_root(coming)

        def predict(poses):
            rows = going.normalize(self._rows(poses, going.centred))
            return pose_rows.from_rows(coming.unnormalize(self._network(rows).numpy()), 2, coming.layout)

        return predict


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
