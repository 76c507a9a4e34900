"""The chain in TFLite and ONNX gives the lifter's labels, in programs without this project."""

import importlib.util
import json
import re
import runpy
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from label_generator import export
from label_generator.lifting import bone_refinement, exported, lifter, packing, portable

BARE = """
import json, sys
import numpy as np
import tensorflow as tf
run = tf.lite.Interpreter(sys.argv[1] + "/generator.tflite").get_signature_runner()
content = json.load(open(sys.argv[1] + "/metadata.json"))
given = np.load(sys.argv[2])
found = run(**{name: given[name] for name in content["inputs"]})
np.savez(sys.argv[3], **{name: found[name] for name in content["outputs"]})
assert not any(name.split(".")[0] in ("label_generator", "tools") for name in sys.modules)
"""


def test_systems_are_solved_as_numpy_solves_them():
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(5, 6, 6))
    systems = factors @ factors.transpose(0, 2, 1) + 0.1 * np.eye(6)
    wanted = rng.normal(size=(5, 6))
    expected = np.linalg.solve(systems, wanted[..., None])[..., 0]
    found = bone_refinement.solve_positive(tf.constant(systems), tf.constant(wanted))
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_a_tflite_file_is_the_lifter(run_command, tmp_path, canonical_weights, capsys, repository, monkeypatch):
    output = tmp_path / "on_phones"
    flags = f"--weights={canonical_weights}", "--format=tflite", "--dtype=float32", f"--output={output}"
    assert run_command(export, *flags, "--json") == 0
    compared = json.loads(capsys.readouterr().out)["compared"]
    assert compared["poses"] == exported.COMPARED
    assert compared["labels"] > 0.8 * exported.COMPARED
    assert compared["max_relative"] < exported.RELATIVE_BOUND
    content = json.loads((output / "metadata.json").read_text())
    assert content["joints"][content["joints"].index(content["root"])] == "Hip"
    assert set(content["outputs"]) == set(portable.OUTPUTS)
    inputs = {name: rows[2:3] for name, rows in exported.sample(4).items()}
    np.savez(tmp_path / "given.npz", **inputs)
    command = [sys.executable, "-c", BARE, str(output), str(tmp_path / "given.npz"), str(tmp_path / "found.npz")]
    ended = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": ""}, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    ours = lifter.load_lifter([canonical_weights])
    expected = ours.lift(*inputs.values())
    with np.load(tmp_path / "found.npz") as found:
        for name in portable.OUTPUTS:
            shape = [1 if size == "B" else size for size in content["outputs"][name]["shape"]]
            assert list(found[name].shape) == shape
            np.testing.assert_allclose(found[name], getattr(expected, name), rtol=1e-3, atol=0.1)
    # The example of docs/deploy.md, with the pose that is shown there, of which a joint is missing.
    (pose,) = re.findall(r"^echo '(.*)' > keypoints.json$", (repository / "docs" / "deploy.md").read_text(), re.M)
    (tmp_path / "keypoints.json").write_text(pose)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["lift_with_tflite.py", "on_phones", "keypoints.json"])
    runpy.run_path(str(repository / "docs" / "examples" / "lift_with_tflite.py"), run_name="__main__")
    first, *lines = capsys.readouterr().out.splitlines()
    points = np.array([[point or [np.nan] * 2 for point in json.loads(pose)[0]]], np.float32)
    lifted = ours.lift(points, np.full((1, 4), np.nan, np.float32), np.isfinite(points).all(-1))
    quality, metres = re.fullmatch(r"pose 0: quality (.*), nominally (.*) m away", first).groups()
    assert float(quality) == pytest.approx(float(lifted.quality[0]), abs=0.01)
    assert float(metres) == pytest.approx(float(lifted.root_3d[0, 2]) / 1000, abs=0.01)
    assert [line.split()[0] for line in lines] == content["joints"]
    np.testing.assert_allclose([list(map(float, line.split()[1:])) for line in lines], lifted.pose_3d[0], atol=0.2)


def test_differences_are_measured_and_refused(canonical_weights):
    ours = lifter.load_lifter([canonical_weights])
    inputs = exported.sample(6)

    def run(rows, moved=2.0, reason=0):
        lifted = ours.lift(*rows.values())
        values = {name: getattr(lifted, name).numpy() for name in portable.OUTPUTS}
        return {**values, "pose_3d": values["pose_3d"] + moved, "reason": values["reason"] + reason}

    figures = exported.compare(ours, run, inputs)
    assert figures["labels"] == 5
    assert figures["max_pose_mm"] == pytest.approx(2.0, abs=0.05)
    assert figures["max_relative"] == pytest.approx(2e-3, abs=1e-4)
    exported.check(figures, half=True)
    with pytest.raises(ValueError, match=r"labels are 0\.002 of their size away"):
        exported.check(figures, half=False)
    with pytest.raises(ValueError, match="poses in float16 are 9 mm away"):
        exported.check({**figures, "max_pose_mm": 9.0}, half=True)
    with pytest.raises(ValueError, match="differs in 'reason' of 6 poses"):
        exported.compare(ours, lambda rows: run(rows, reason=1), inputs)
    with pytest.raises(ValueError, match="portable=True"):
        portable.chain_of_one(ours)


@pytest.mark.slow
def test_an_onnx_file_is_the_lifter(run_command, tmp_path, capsys):
    """The shipped weights, compared by ONNX Runtime."""
    for name in ("tf2onnx", "onnxruntime"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed (pip install -e '.[onnx]')")
    output = tmp_path / "in_browsers"
    assert run_command(export, "--format=onnx", f"--output={output}", "--json") == 0
    assert json.loads(capsys.readouterr().out)["compared"]["max_relative"] < 1e-4
    assert (output / packing.FILES["onnx"]).stat().st_size > 10e6


def test_onnx_without_its_packages_is_one_line(run_command, tmp_path, monkeypatch, assert_error, canonical_weights):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    flags = f"--weights={canonical_weights}", "--format=onnx", f"--output={tmp_path / 'a'}"
    assert run_command(export, *flags) == 2
    assert_error("pip install -e '.[onnx]'")
    assert not (tmp_path / "a").exists()
