"""Training obeys a review: dropped and swapped records are left out, and the stream stays resumable."""

import json
import types

import numpy as np
import pytest

from baseline_network.training import run, training_data
from baseline_network.training.reviewed import reviewed
from baseline_network.training.training_data import BatchOptions, TrainingSet
from tfrecords import reader
from tools.cli.errors import InputError
from tools.files.decisions import Decisions

NAMES = ("file", "sequence", "frame", "person")


def write(path, arrays, chosen, **more):
    """Decisions about rows: row -> (decision, swap)."""
    entries = []
    for row, (decision, swap) in chosen.items():
        identity = {name: arrays[name][row] for name in NAMES}
        identity |= {"frame": int(identity["frame"]), "person": int(identity["person"])}
        entries.append({**identity, "decision": decision, "swap": swap, **more})
    head = {"format": "pose label decisions", "version": 1, "undecided": "keep", "unsure": "drop"}
    path.write_text(json.dumps({**head, "decisions": entries}))
    return Decisions(path)


@pytest.fixture
def records(pictured_records):
    """(place, its arrays) of records whose names differ."""
    place = str(pictured_records / "train.tfrecord")
    arrays = reader.load_arrays(place, (*NAMES, "pose_2d"))
    assert len({tuple(arrays[name][row] for name in NAMES) for row in range(len(arrays["file"]))}) == len(
        arrays["file"]
    )
    return place, arrays


@pytest.mark.parametrize("seed", [None, 3])
def test_left_out_records_are_never_read(tmp_path, records, seed):
    place, arrays = records
    out = {0: ("drop", False), 3: ("unsure", False), 7: ("keep", True), 9: ("keep", False)}
    left = reviewed(place, write(tmp_path / "d.json", arrays, out))
    total = len(arrays["file"])
    assert (left.count, left.dropped, left.swapped) == (total - 3, 2, 1)
    kept = np.setdiff1d(np.arange(total), [0, 3, 7])
    batches = reader.dataset(place, 1, ["pose_2d"], shuffle_seed=seed, epochs=2, chosen=left)
    poses = np.concatenate([batch["pose_2d"].numpy() for batch in batches])
    assert len(poses) == 2 * left.count
    for epoch in (poses[: left.count], poses[left.count :]):
        if seed is None:
            np.testing.assert_array_equal(epoch, arrays["pose_2d"][kept])
        else:
            order = np.argsort(epoch[:, 0, 0])
            expected = arrays["pose_2d"][kept]
            np.testing.assert_array_equal(epoch[order], expected[np.argsort(expected[:, 0, 0])])


def test_a_reviewed_stream_goes_on_from_any_step(tmp_path, records):
    place, arrays = records
    sets = [TrainingSet(place, 3, reviewed=reviewed(place, write(tmp_path / "d.json", arrays, {1: ("drop", False)})))]
    setup = BatchOptions(64, seed=7)
    whole = list(training_data.make_batches(sets, setup, 0).take(14).as_numpy_iterator())
    later = list(training_data.make_batches(sets, setup, 11).take(3).as_numpy_iterator())
    for first, second in zip(whole[11:], later):
        for name, value in first.items():
            np.testing.assert_array_equal(second[name], value, err_msg=name)


def test_what_decisions_cannot_say_or_leave(tmp_path, records):
    place, arrays = records
    with pytest.raises(InputError, match="records that share file, sequence, frame and person"):
        reviewed(place, write(tmp_path / "d.json", arrays, {1: ("drop", False)}, row=1))
    everything = dict.fromkeys(range(len(arrays["file"])), ("drop", False))
    with pytest.raises(InputError, match="leaves none of the"):
        reviewed(place, write(tmp_path / "d.json", arrays, everything))


def test_decisions_of_other_records_are_refused(tmp_path, records):
    place, arrays = records
    other = {**arrays, "file": [f"other {name}" for name in arrays["file"]]}
    write(tmp_path / "d.json", other, {0: ("drop", False), 3: ("keep", True)})
    flags = types.SimpleNamespace(decisions=str(tmp_path / "d.json"))
    with pytest.raises(InputError, match=r"d.json: no decision fits any of the records of .*train.tfrecord"):
        run.leave_out(flags, run.TrainingRecords([place], place, [len(arrays["file"])]))
