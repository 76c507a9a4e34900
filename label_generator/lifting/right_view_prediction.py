"""Stereoscopic view synthesis of files: a trained left2right network over a tree of arrays, as `predict.py` runs it."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Callable

import numpy as np
import tensorflow as tf

from label_generator.lifting import published_chain
from label_generator.networks import linear_model, network_files, normalization
from label_generator.networks.normalization import Statistics
from label_generator.stages import left2right, pose_rows
from tfrecords.conversion import clips
from tfrecords.formats import arrays
from tfrecords.storage import partial
from tools.cli import outputs
from tools.cli.errors import InputError
from tools.cli.progress import Progress
from tools.files import atomic, checksums, staging

STAGE = left2right.STAGE
_ROWS_AT_ONCE = 8192


class RightViewPredictor:
    """A left2right network with one of the three ways to normalise; see `normalization.normalizers`.

    Attributes:
      directory: the weights folder.
    """

    def __init__(self, folder: str | os.PathLike, statistics: str = "train", compute_dtype: str = "float32"):
        """Raises `InputError` when the folder holds no published left2right network with statistics."""
        networks = network_files.find_networks([folder])
        if STAGE.name not in networks:
            raise InputError(f"{folder}: no network of stage {STAGE.name}, only {', '.join(networks)}")
        network = networks[STAGE.name]
        if network.recipe != "published":
            raise InputError(
                f"{network.directory}: a network of the {network.recipe} recipe, which reads no pixels of one assumed "
                "camera; generate.py runs it"
            )
        self.directory, self._mode = network.directory, statistics
        config, variables = published_chain.build_published(network)
        missing = set(STAGE.sizes) - set(network.statistics)
        if missing:
            raise InputError(f"{network.directory}: has no normalisation statistics '{missing.pop()}'")
        self._input, self._output = network.statistics["input"], network.statistics["output"]
        self._test_input = self._input
        self._network = linear_model.folded(config, variables, compute_dtype=tf.as_dtype(compute_dtype))

    def _rows(self, poses: np.ndarray, centred: bool) -> np.ndarray:
        poses = pose_rows.root_centred(poses) if centred else poses
        return STAGE.input_rows(poses, layout=self._input.layout)

    def _statistics_of(self, pieces: Iterable[np.ndarray], centred: bool) -> Statistics:
        gathered = normalization.Accumulator(self._input.layout, centred)
        for poses in pieces:
            gathered.update(self._rows(poses, centred))
        return gathered.result()

    def gather_test_statistics(self, pieces: Iterable[np.ndarray]) -> None:
        """Takes the statistics of all test poses, pieces [n, 17, 2] px, where 'test' statistics are wanted."""
        if self._mode == "test":
            self._test_input = self._statistics_of(pieces, self._input.centred)

    def for_file(
        self, path: pathlib.Path, pieces: Callable[[], Iterable[np.ndarray]]
    ) -> Callable[[np.ndarray], np.ndarray]:
        """The function from left poses [n, 17, 2] px of one file to right poses [n, 17, 2].

        With 'train' and 'test' statistics the right poses are relative to their root; with 'input' they stand where
        the file's left poses stand on average, as the release has it. Poses with a joint that is not finite become NaN.

        Args:
          pieces: function that returns the file's poses piece by piece.

        Raises:
          InputError: a pose that is not finite, where statistics are those of the file.
        """
        normalise_by, restore_by = self._input, self._output
        if self._mode == "test":
            normalise_by = self._test_input
        elif self._mode == "input":
            try:
                restore_by = self._statistics_of(pieces(), False)
            except InputError as error:
                raise InputError(f"{path}: {error}") from None
            normalise_by = normalization.blind_to_root(restore_by)

        def predict(poses: np.ndarray) -> np.ndarray:
            # A pose that is not a number has no right view; the network would give every such pose the same one.
            finite = np.isfinite(poses).all((1, 2))[:, None, None]
            inputs = normalise_by.normalize(self._rows(np.where(finite, poses, 0), normalise_by.centred))
            right = STAGE.output_poses(restore_by.unnormalize(self._network(inputs).numpy()), restore_by.layout)
            return np.where(finite, right, np.nan).astype(right.dtype)

        return predict


def find_arrays(source: pathlib.Path, target: pathlib.Path) -> list[tuple[pathlib.Path, pathlib.Path]]:
    """(array, where its right view goes); a tree keeps its folders and names.

    Raises:
      InputError: nothing there, or the target is the source.
    """
    if source.is_file():
        return [(source, target if target.suffix == ".npy" else target / source.name)]
    if not source.is_dir():
        raise InputError(f"{source}: no such file or folder (--load_dir: a tree of .npy arrays, or one)")
    if target.resolve() == source.resolve():
        raise InputError(f"{target}: --save_dir is --load_dir")
    files = clips.list_files(source, (".npy",), "a tree of .npy arrays of left-view poses")
    return [(path, target / path.relative_to(source)) for path in files]


def preview(
    source: pathlib.Path, target: pathlib.Path, permutation: Sequence[int] | None, overwrite: bool
) -> tuple[list[str], list[pathlib.Path]]:
    """What `predict_files` would read, in words, and the files that it would write; the same errors, and no network."""
    pairs = find_arrays(source, target)
    outputs.check_all_free((path for _, path in pairs), overwrite)
    return [f"{path}: {len(_open_left_view(path, permutation)):,} poses" for path, _ in pairs], [t for _, t in pairs]


def predict_files(
    source: pathlib.Path,
    target: pathlib.Path,
    find_weights: Callable[[], str],
    statistics: str,
    compute_dtype: str,
    permutation: Sequence[int] | None,
    overwrite: bool,
) -> tuple[int, int]:
    """Writes the right view of each array below `source` below `target`, and returns the numbers of poses and files.

    Those of a tree are put in place together; a run that was ended goes on.

    Args:
      source: a tree of .npy arrays [N, 34] (planar rows) or [N, 17, 2] px, or one.
      find_weights: returns the weights folder, asked for when the files are known to be there.
      statistics: 'train', 'test' or 'input' (`RightViewPredictor`).
      permutation: joint i is at place permutation[i] of the arrays, of the written ones too.

    Raises:
      InputError: naming the file that is not such an array or would be replaced, or the weights.
    """
    pairs = find_arrays(source, target)
    unfinished = source.is_dir() and (target / staging.FOLDER).exists()
    outputs.check_all_free((path for _, path in pairs), overwrite or unfinished)
    weights = find_weights()
    opened = [(path, _open_left_view(path, permutation)) for path, _ in pairs]
    predictor = RightViewPredictor(weights, statistics, compute_dtype)
    predictor.gather_test_statistics(poses for _, array in opened for poses in _pieces(array, permutation))
    total, done, without = sum(len(array) for _, array in opened), 0, 0
    print(f"{STAGE.name} network of {predictor.directory}, statistics '{statistics}'", flush=True)
    with Progress(total, "poses") as progress:

        def write(number: int, place: pathlib.Path) -> None:
            nonlocal done, without
            path, array = opened[number]
            without += _write_right_view(predictor, path, array, place, permutation)
            done += len(array)
            progress.update(done)

        if source.is_file():
            write(0, pairs[0][1])
        else:
            settings = [statistics, compute_dtype, None if permutation is None else list(permutation)]
            files = [(path, path.stat()) for path, _ in pairs]
            header = {
                "input": [[str(path.resolve()), stat.st_size, stat.st_mtime_ns] for path, stat in files],
                "weights": checksums.of_folders([predictor.directory]),
                "settings": settings,
            }
            _write_tree(
                target, [result.relative_to(target).as_posix() for _, result in pairs], header, overwrite, write
            )
    if without:
        print(f"{without:,} poses with a joint that is not a number have no right view (NaN)")
    return total, len(pairs)


def _write_tree(
    target: pathlib.Path,
    names: list[str],
    header: dict,
    overwrite: bool,
    write: Callable[[int, pathlib.Path], None],
) -> None:
    """Calls `write` for each file that no earlier run has written, and puts all in place."""
    with partial.locked(target):
        staged = staging.StagedFiles(target, names, header, overwrite)
        try:
            for number, name in enumerate(names):
                if not staged.is_written(name):
                    write(number, staged.path(name))
            staged.finish()
        finally:
            staged.discard_if_empty()


def _open_left_view(path: pathlib.Path, permutation: Sequence[int] | None) -> arrays.ArrayRows:
    array = arrays.open_npy(path)
    if arrays.dimensions(array.shape, str(path)) != 2:
        raise InputError(f"{path}: holds 3D poses, expected left-view 2D [N, 34] or [N, 17, 2]")
    arrays.check_layout(array, 2, STAGE.layout, permutation, str(path))
    return array


def _pieces(array: arrays.ArrayRows, permutation: Sequence[int] | None) -> Iterator[np.ndarray]:
    """Poses [n, 17, 2] float32 of an array in this project's order, piece by piece."""
    for start in range(0, len(array), _ROWS_AT_ONCE):
        piece = np.asarray(array[start : start + _ROWS_AT_ONCE], np.float32)
        yield arrays.split_rows(piece, 2, STAGE.layout, permutation)


def _write_right_view(
    predictor: RightViewPredictor,
    path: pathlib.Path,
    array: arrays.ArrayRows,
    result: pathlib.Path,
    permutation: Sequence[int] | None,
) -> int:
    """Writes the right view of one array, in the array's own shape and order of joints; returns how many are NaN."""
    without = 0
    result.parent.mkdir(parents=True, exist_ok=True)
    if not len(array):
        raise InputError(f"{path}: holds no pose")
    predict = predictor.for_file(path, lambda: _pieces(array, permutation))
    with atomic.write_file(result) as temporary, arrays.NpyWriter(temporary, array.shape, np.float32) as written:
        for poses in _pieces(array, permutation):
            right = predict(poses)
            without += int(np.isnan(right).any((1, 2)).sum())
            if permutation is not None:
                right = right[:, np.argsort(permutation)]
            written.append(STAGE.output_rows(right) if array.ndim == 2 else right)
    return without
