"""Labels as other joint sets, by the rules of `tools.pose.joints` and with the places of `training.skeletons`."""

import json

import numpy as np
import pytest

from label_generator import generate
from label_generator.labelling import output_joints
from label_generator.training import skeletons
from tools.cli.errors import InputError
from tools.pose import joints
from tools.pose.joints import POSE17


@pytest.fixture
def labels(run_command, tmp_path, people):
    """labels(set): (converted poses, poses of labels.npz, summary) of people who are lifted by the shipped weights."""

    def make(name):
        np.savez(tmp_path / "poses.npz", poses_2d=people.pose_2d, intrinsics=people.intrinsics)
        out = tmp_path / name
        flags = [f"--input={tmp_path / 'poses.npz'}", "--joints=pose17", f"--output={out}", f"--output_joints={name}"]
        assert run_command(generate, *flags) == 0
        with np.load(out / "labels.npz") as archive:
            poses = archive["poses_3d"]
        return np.load(out / f"poses_3d_{name}.npy"), poses, json.loads((out / "summary.json").read_text())

    return make


def test_a_set_without_places_is_converted_by_rule(labels, capsys):
    found, poses, summary = labels("body25")
    expected, provenance = joints.convert(poses, "pose17", "body25")
    np.testing.assert_array_equal(found, expected)
    said = summary["output_joints"]
    assert said["places"] == "as the input has them"
    lost = [name for name, code in zip(said["joints"], provenance[0]) if code == joints.MISSING]
    assert said["without_a_rule"] == lost
    assert "RBigToe" in lost
    assert "no rule makes" in capsys.readouterr().out


def test_human36ms_joints_are_at_its_places(labels):
    found, poses, summary = labels("h36m17")
    assert summary["output_joints"]["places"] == "as h36m has them"
    ours = joints.convert(found, "h36m17")[0]
    places = skeletons.measure(ours)
    scale = places.legs / skeletons.LEGS_MM
    assert places.hips_apart / scale == pytest.approx(260, rel=0.05)
    assert places.shoulder_line[1] / scale == pytest.approx(-55, abs=8)
    assert np.abs(ours[:, POSE17.root]).max() == 0
    # People stand as they stood: elbows move by what the hips do, no more.
    assert np.linalg.norm(ours - poses, axis=-1)[:, POSE17.index("RElbow")].mean() < 80


class Labels:
    """Finished labels as `output_joints.write` reads them."""

    def __init__(self, poses):
        self.poses, self.rows = poses, len(poses)

    def read(self, name, start, stop):
        assert name == "poses_3d"
        return self.poses[start:stop]


def test_smpls_joints_are_at_its_places(tmp_path, people):
    said = output_joints.write(Labels(people.pose_3d), tmp_path / "smpl.npy", "smpl24")
    found = np.load(tmp_path / "smpl.npy")
    assert said["places"] == "as smpl has them"
    lost = {"Spine1", "Spine3", *(side + joint for side in "LR" for joint in ("Toes", "Collar", "Hand"))}
    assert set(said["without_a_rule"]) == lost
    names = joints.joint_set("smpl24").index
    places = skeletons.measure(joints.convert(found, "smpl24")[0])
    scale = places.legs / skeletons.DEFINITIONS["smpl"].legs_mm
    assert places.hips_apart / scale == pytest.approx(2 * 69, rel=0.1)
    below = found[:, [names("LHip"), names("RHip")]].mean(1) - found[:, names("Pelvis")]
    assert np.median(np.linalg.norm(below, axis=-1)) / scale == pytest.approx(90, abs=8)


def test_no_such_set(tmp_path):
    flags = generate.declare().parse(["generate", "--input=x.npy", f"--output={tmp_path}", "--output_joints=mine"])
    with pytest.raises(InputError, match="no joint set 'mine'"):
        generate.main(flags)
