"""Labels by an engine and to addresses: the same bytes as the local path's, after any interruption."""

import json

import numpy as np
import pytest

from label_generator import generate
from label_generator.labelling import engine_job
from label_generator.lifting import lifter_of_flags
from tools.cli.errors import InputError
from tools.engines import engine as engines
from tools.files import remote

BATCH = 8


@pytest.fixture(scope="module")
def poses(tmp_path_factory, people):
    """All people as an archive; some poses lack joints, two have none."""
    path = tmp_path_factory.mktemp("poses") / "poses.npz"
    points = people.pose_2d.copy()
    points[::7, 3] = np.nan
    points[[5, 290]] = np.nan
    sequences = np.array([f"walk {number // 3}" for number in range(len(points))])
    np.savez(path, poses_2d=points, sequence=sequences, frame=np.arange(len(points)) % 3)
    return path


@pytest.fixture(autouse=True)
def one_lifter(monkeypatch, _lifters):
    """The caller and its workers, which are one process here, share a lifter, so that it is compiled once."""
    load = lifter_of_flags.load

    def cached(folders, settings, precision="float32", portable=False):
        key = str([str(folder) for folder in folders]), settings, precision, portable
        if key not in _lifters:
            _lifters[key] = load(folders, settings, precision, portable)
        return _lifters[key]

    monkeypatch.setattr(lifter_of_flags, "load", cached)


@pytest.fixture(scope="module")
def _lifters():
    return {}


class Here:
    """`Engine.run` in this process: pieces in another order, one of them twice, and it may stop in the middle."""

    def __init__(self, stop_after=None):
        self.stop_after, self.pieces = stop_after, []

    def __call__(self, engine, job, pieces, title):
        order = np.random.default_rng(0).permutation(pieces).tolist()
        state, counters = job.setup(), {}
        for done, piece in enumerate(order[:1] + order):
            if done == self.stop_after:
                raise InputError("stopped")
            self.pieces.append(piece)
            for name, count in job.process(state, piece).counters.items():
                counters[name] = counters.get(name, 0) + count
        return counters


@pytest.fixture
def label(run_command, published_weights, poses, monkeypatch):
    """label(output, *flags, stop_after=None): (exit status, pieces done) of generate with the engine `Here`."""

    def run(output, *flags, stop_after=None):
        here = Here(stop_after)
        monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: name)
        monkeypatch.setattr(engines.Engine, "run", lambda *arguments: here(*arguments))
        words = (f"--input={poses}", "--joints=pose17", f"--batch_size={BATCH}", f"--weights={published_weights}")
        return run_command(generate, *words, f"--output={output}", *flags), here.pieces

    return run


def content(folder):
    names = [path.name for path in folder.iterdir()]
    files = {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}
    summary = json.loads(files.pop("summary.json"))
    return files, {**summary, "seconds": None}


def test_an_engine_makes_the_same_bytes_after_an_interruption(label, tmp_path, capsys):
    flags = ("--formats=json,tfrecord", "--min_quality=0.2")
    assert label(tmp_path / "local", *flags)[0] == 0
    out = tmp_path / "engine"
    assert label(out, *flags, "--runner=spark", stop_after=3)[0] == 2
    assert label(out, *flags, "--runner=spark")[0] == 0
    expected, got = content(tmp_path / "local"), content(out)
    assert got == expected
    text = capsys.readouterr().out
    assert "2 of 5 pieces are there from an earlier run" in text
    assert "spark: labels" in text
    assert not list(out.glob(".p*"))
    records = [(path / "tfrecords" / "manifest.json").read_text() for path in (out, tmp_path / "local")]
    shards = [json.loads(text)["shards"] for text in records]
    assert shards[0] == shards[1]


@pytest.mark.slow
def test_a_local_run_that_was_stopped_is_gone_on_with_by_an_engine(label, tmp_path, monkeypatch):
    from label_generator.labelling import lifted_batches, run

    assert label(tmp_path / "whole")[0] == 0
    monkeypatch.setattr(run, "_CHECKPOINT_SECONDS", -1.0)
    lift, left = lifted_batches.label_batch, [11]

    def stops(*arguments):
        if not left[0]:
            raise InputError("stopped")
        left[0] -= 1
        lift(*arguments)

    monkeypatch.setattr(lifted_batches, "label_batch", stops)
    assert label(tmp_path / "out")[0] == 2
    monkeypatch.setattr(lifted_batches, "label_batch", lift)
    status, pieces = label(tmp_path / "out", "--runner=direct")
    assert status == 0
    assert set(pieces) == {1, 2, 3, 4}  # eleven batches of eight: the first piece is there, the second begun
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_workers_with_other_weights_or_another_input_are_refused(poses, published_weights, canonical_weights):
    from label_generator.labelling.cameras import CameraChoice
    from label_generator.labelling.inputs import Spec
    from label_generator.labelling.options import LabellingOptions
    from label_generator.lifting.lifter import RECIPE_SETTINGS

    settings = RECIPE_SETTINGS["canonical"]
    fingerprint = lifter_of_flags.load([canonical_weights], settings)[1]
    options = LabellingOptions(Spec(str(poses), "array", "pose17"), CameraChoice("unknown"), "")
    job = engine_job.LabelJob(options, BATCH, 300, (str(published_weights),), settings, fingerprint, "")
    with pytest.raises(InputError, match="other weights on this worker"):
        job.setup()
    job = engine_job.LabelJob(options, BATCH, 299, (str(canonical_weights),), settings, fingerprint, "")
    with pytest.raises(InputError, match="300 poses on this worker, 299 announced"):
        job.process(job.setup(), 0)


def test_input_and_output_at_addresses(label, tmp_path, poses, capsys, monkeypatch):
    monkeypatch.setattr(remote.tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    assert label(tmp_path / "local", "--formats=json")[0] == 0
    source, target = remote.place("ram://labels-in/poses.npz"), remote.place("ram://labels-out/a")
    source.parent.mkdir()
    source.write_bytes(poses.read_bytes())
    flags = (f"--input={source}", "--formats=json")
    assert label(target, *flags, "--runner=direct")[0] == 0
    assert f"sent to {target}" in capsys.readouterr().out
    expected, got = content(tmp_path / "local"), content(target)
    assert got[0]["labels.json"] == expected[0]["labels.json"]
    assert got[1]["input"] == str(source)
    assert {**got[1], "input": 0, "input_spec": 0} == {**expected[1], "input": 0, "input_spec": 0}
    assert not [path.name for path in target.iterdir() if path.name.startswith(".")]
    assert label(target, *flags)[0] == 2
    assert "labels.npz: exists already; --overwrite replaces it" in capsys.readouterr().err


@pytest.mark.slow
def test_beam_in_two_processes_makes_the_same_bytes(run_command, published_weights, poses, tmp_path):
    pytest.importorskip("apache_beam", reason="Apache Beam is not installed (pip install -e '.[beam]')")
    words = (f"--input={poses}", "--joints=pose17", f"--batch_size={BATCH}", f"--weights={published_weights}")
    assert run_command(generate, *words, f"--output={tmp_path / 'local'}") == 0
    assert run_command(generate, *words, f"--output={tmp_path / 'beam'}", "--runner=direct", "--runner_workers=2") == 0
    assert content(tmp_path / "beam") == content(tmp_path / "local")
