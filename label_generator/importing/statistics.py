"""Normalisation statistics for networks whose checkpoint has none, and checks of an imported network on its poses.

A released checkpoint lacks the statistics that its rows were normalised with. They are taken again from the poses it
was trained on; the network's error on those also shows whether flags and order of joints are right.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Callable

import numpy as np

from label_generator.importing.tf1_checkpoint import Checkpoint
from label_generator.networks import linear_model, normalization
from label_generator.stages import pose_rows, published
from tools.cli.errors import InputError

_RECORDS_AT_ONCE = 4096
# Poses on which the imported network is tried; a mean over so many is known to about two per cent.
_TRIED = 4096
# Another choice of flags whose error is this many times smaller is the right one.
_CLEARLY_BETTER = 2.0


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """What the poses a network was trained on tell.

    Attributes:
      statistics: 'input' and 'output', of root-centred rows in the stage's layout.
      inputs, outputs: [N, in], [N, out] normalised rows, spread evenly over the data.
      unusable: records without all joints of all the poses that the stage needs, left out.
    """

    statistics: dict[str, normalization.Statistics]
    inputs: np.ndarray
    outputs: np.ndarray
    unusable: int


def read_training_data(
    batches: Iterator[Mapping[str, np.ndarray]],
    total: int,
    stage: str,
    where: str,
    progress: Callable[[int], None] = lambda done: None,
) -> TrainingData:
    """Gathers statistics over all poses.

    Args:
      batches: field -> [B, 17, C] of the records, NaN where a joint is missing.
      total: how many records all batches have.
      stage: the network's.
      where: names the data in messages.
      progress: called after each batch with the number of records done.

    Raises:
      InputError: no record has all poses that the stage needs, or poses don't vary.
    """
    described, every = published.STAGES[stage], max(1, total // _TRIED)
    gathered = [normalization.Accumulator(described.layout, centred=True) for _ in range(2)]
    kept: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    usable = done = 0
    for batch in batches:
        poses = {field: pose_rows.root_centred(np.float64(batch[field])) for field in described.fields}
        sides = [
            described.input_rows(*(poses[field] for field in described.inputs)),
            described.output_rows(poses[described.output]),
        ]
        whole = np.isfinite(np.concatenate(sides, -1)).all(-1)
        for side in range(2):
            usable_rows = sides[side][whole]
            gathered[side].update(usable_rows)
            kept[side].append(usable_rows[-usable % every :: every])
        usable += int(whole.sum())
        done += len(whole)
        progress(done)
    if not usable:
        needed = ", ".join(described.fields)
        raise InputError(f"{where}: none of {total} records has all joints of {needed}, which {stage} was trained on")
    statistics = {name: part.result() for name, part in zip(("input", "output"), gathered)}
    if not all(part.std.any() for part in statistics.values()):
        raise InputError(f"{where}: its poses are all the same, nothing to normalise by")
    normalised = [part.normalize(np.concatenate(pieces)) for part, pieces in zip(statistics.values(), kept)]
    inputs, outputs = (values.astype(np.float32) for values in normalised)
    return TrainingData(statistics, inputs, outputs, total - usable)


def batches_of_tfrecords(where: str, stage: str) -> tuple[int, Iterator[dict[str, np.ndarray]]]:
    """(number of records, batches of what the stage reads and answers) of a folder of TFRecords."""
    from tfrecords import reader

    fields = published.STAGES[stage].fields

    def read() -> Iterator[dict[str, np.ndarray]]:
        with reader.named_damage(where):
            yield from reader.dataset(where, _RECORDS_AT_ONCE, fields).as_numpy_iterator()

    return len(reader.find(where)), read()


def batches_of_arrays(
    where: str, stage: str, split: str, layout: str = "", order: Sequence[int] | None = None
) -> tuple[int, Iterator[dict[str, np.ndarray]]]:
    """The same of the original's trees of .npy files; split, layout, order: as the source npy_tree takes them."""
    from tfrecords.source import Options, Skip
    from tfrecords.sources import open_source

    order = None if order is None else tuple(int(i) for i in order)
    source = open_source("npy_tree", where, Options(split=split, layout=layout, permutation=order))
    fields = published.STAGES[stage].fields

    def read() -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, len(source), _RECORDS_AT_ONCE):
            numbers = range(start, min(start + _RECORDS_AT_ONCE, len(source)))
            records = [record for record in source.records(numbers) if not isinstance(record, Skip)]
            if records:
                yield {field: np.stack([getattr(record, field) for record in records]) for field in fields}

    return len(source), read()


def check_statistics(statistics: Mapping[str, normalization.Statistics], stage: str, where: str) -> None:
    """Raises `InputError` unless these are the statistics that a network of this stage needs."""
    layout = published.STAGES[stage].layout
    for name, size in published.STAGES[stage].sizes.items():
        if name not in statistics:
            raise InputError(f"{where}: no statistics '{name}'; there are {', '.join(statistics) or 'none'}")
        part = statistics[name]
        if len(part.mean) != size or part.layout != layout:
            raise InputError(
                f"{where}: statistics '{name}' are of {len(part.mean)} {part.layout} columns, "
                f"{stage} needs {size} {layout} ones"
            )
        if not part.centred:
            raise InputError(f"{where}: statistics '{name}' are of poses that were not root-centred")


def errors_by_choice(checkpoint: Checkpoint, variables: Mapping, data: TrainingData) -> dict[tuple[bool, bool], float]:
    """(residual, max_norm) -> mean squared error over the columns that vary; 1 is what always answering the mean has.

    The right choice is the one whose error is small; the others' errors reveal wrong flags, statistics or order.
    """
    varying = data.statistics["output"].std > 0
    errors = {}
    for residual, max_norm in itertools.product((False, True), repeat=2):
        network = linear_model.folded(checkpoint.config(residual, max_norm), variables)
        answers = network(data.inputs).numpy()
        errors[residual, max_norm] = float(np.mean(np.square(answers - data.outputs, dtype=np.float64)[:, varying]))
    return errors


def doubts(errors: Mapping[tuple[bool, bool], float], chosen: tuple[bool, bool]) -> list[str]:
    """What the errors of `errors_by_choice` say against the chosen flags, as lines; [] when nothing."""
    best = min(errors, key=lambda choice: errors[choice])
    if errors[best] >= 1:
        return [
            f"a network that always answers the mean has an error of 1, this one {errors[chosen]:.3g}: the statistics "
            "are not of its training poses, or its order of joints is another (--permutation)"
        ]
    if errors[best] * _CLEARLY_BETTER < errors[chosen]:
        flags = [("" if on else "no") + name for name, on in zip(("residual", "max_norm"), best)]
        return [f"with --{' --'.join(flags)} the error is {errors[best]:.3g} instead of {errors[chosen]:.3g}"]
    return []
