"""Joints of SMPL's family: given, or turned by rotations, against SciPy's rotations bone by bone."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tfrecords.conversion import smpl
from tfrecords.source import Options
from tfrecords.sources import mocap, open_source
from tools.cli.errors import InputError
from tools.pose.joints import LABELLED, MADE, POSE17

# A person of 1.6 m in metres, y up, T-pose.
REST = {
    "Pelvis": (0, 0.9, 0), "L_Hip": (0.06, 0.82, 0), "R_Hip": (-0.06, 0.82, 0), "Spine1": (0, 1.02, -0.02),
    "L_Knee": (0.1, 0.45, 0), "R_Knee": (-0.1, 0.45, 0), "Spine2": (0, 1.15, 0), "L_Ankle": (0.09, 0.06, -0.02),
    "R_Ankle": (-0.09, 0.06, -0.02), "Spine3": (0, 1.2, 0.01), "L_Foot": (0.1, 0, 0.1), "R_Foot": (-0.1, 0, 0.1),
    "Neck": (0, 1.4, -0.02), "L_Collar": (0.08, 1.32, -0.01), "R_Collar": (-0.08, 1.32, -0.01),
    "Head": (0, 1.48, 0.03), "L_Shoulder": (0.17, 1.35, -0.02), "R_Shoulder": (-0.17, 1.35, -0.02),
    "L_Elbow": (0.43, 1.34, -0.03), "R_Elbow": (-0.43, 1.34, -0.03), "L_Wrist": (0.68, 1.35, -0.03),
    "R_Wrist": (-0.68, 1.35, -0.03),
}  # fmt: skip
BODY = np.array([REST[name] for name in smpl.NAMES])
FRAMES = 6
Z_UP = Rotation.from_euler("x", 90, degrees=True)


@pytest.fixture
def motion():
    """(poses [F, 156] axis-angle with hands, trans [F, 3]), z up as AMASS has it."""
    rng = np.random.default_rng(3)
    rotations = rng.normal(0, 0.25, (FRAMES, 52, 3))
    rotations[:, 0] = [(Rotation.from_euler("z", 20 * frame, degrees=True) * Z_UP).as_rotvec() for frame in range(6)]
    return rotations.reshape(FRAMES, 156), rng.normal(0, 0.3, (FRAMES, 3))


def slow_kinematics(poses, trans, body=BODY):
    """One joint after the other, from the root down every chain anew."""
    places = np.empty((len(poses), smpl.BODY, 3))
    for frame in range(len(poses)):
        for joint in range(smpl.BODY):
            chain = [joint]
            while smpl.PARENTS[chain[-1]] >= 0:
                chain.append(smpl.PARENTS[chain[-1]])
            place, turn = body[0] + trans[frame], Rotation.identity()
            for parent, child in zip(chain[::-1], chain[-2::-1]):
                turn = turn * Rotation.from_rotvec(poses[frame].reshape(-1, 3)[parent])
                place = place + turn.apply(body[child] - body[parent])
            places[frame, joint] = place
    return places


def write(path, **arrays):
    np.savez(path, gender=np.array("female"), mocap_framerate=np.array(120.0), **arrays)
    return path


def test_rotations_of_a_body_at_rest(tmp_path, motion):
    poses, trans = motion
    path = write(tmp_path / "a.npz", poses=poses, trans=trans, betas=np.zeros(16), rest_joints=BODY)
    file = smpl.open_file(path)
    assert (file.frames, file.kind, file.fps) == (FRAMES, "poses", 120.0)
    np.testing.assert_allclose(smpl.read(file), slow_kinematics(poses, trans), atol=1e-9)
    # SMPL-X's names of the same arrays; AMASS has arrays of objects beside them
    objects = np.array([{"vids": 1}], object)
    split = {"root_orient": poses[:, :3], "pose_body": poses[:, 3:66], "trans": trans, "J": BODY}
    path = write(tmp_path / "b.npz", markers_latent_vids=objects, **split)
    np.testing.assert_allclose(smpl.read(smpl.open_file(path)), slow_kinematics(poses, trans), atol=1e-9)


def test_a_body_model_gives_the_rest_joints(tmp_path, motion):
    poses, trans = motion
    rng = np.random.default_rng(0)
    vertices, shapes = 60, 10
    template, shapedirs = rng.normal(0, 1, (vertices, 3)), rng.normal(0, 0.01, (vertices, 3, shapes))
    betas = rng.normal(0, 1, 16)
    shaped = template + np.sum(shapedirs * betas[:shapes], -1)
    # Regressors that give the person of `REST` for this shape, and two joints of the hands.
    wanted = np.concatenate([BODY, BODY[-2:] + 0.01])
    regressor = wanted @ np.linalg.pinv(shaped)
    assert np.allclose(regressor @ shaped, wanted)
    model = tmp_path / "SMPLH.npz"
    np.savez(model, v_template=template, shapedirs=shapedirs, J_regressor=regressor, f=np.zeros((4, 3), np.uint32))
    path = write(tmp_path / "a.npz", poses=poses, trans=trans, betas=betas)
    np.testing.assert_allclose(smpl.read(smpl.open_file(path), str(model)), slow_kinematics(poses, trans), atol=1e-9)
    with pytest.raises(InputError, match=r"rotations without joints.*--body_model"):
        smpl.read(smpl.open_file(path))
    with pytest.raises(InputError, match="no array v_template"):
        smpl.rest_joints(path, betas)
    with pytest.raises(InputError, match=r"expected an \.npz"):
        smpl.rest_joints("SMPL_NEUTRAL.pkl", betas)


@pytest.mark.parametrize("count", [22, 24, 52])
def test_records_of_given_joints(tmp_path, motion, count):
    places = slow_kinematics(*motion)
    joints = np.concatenate([places, np.zeros((FRAMES, count - 22, 3))], 1).astype(np.float32)
    folder = tmp_path / "amass" / "CMU" / "07"
    folder.mkdir(parents=True)
    write(folder / "07_01_poses.npz", joints=joints, poses=motion[0], trans=motion[1])
    np.savez(folder / "shape.npz", betas=np.zeros(16))  # AMASS has one beside each subject's motions
    source = open_source("mocap", tmp_path / "amass", Options(cameras_style="level"))
    records = list(source.records(np.arange(len(source))))
    assert len(records) == FRAMES
    record = records[2]
    assert (record.subject, record.sequence, record.frame) == ("CMU/07", "CMU/07/07_01_poses", 2)
    named = dict(zip(smpl.NAMES, places[2] * 1000))

    def apart(one, other):
        return np.linalg.norm(record.pose_3d[POSE17.index(one)] - record.pose_3d[POSE17.index(other)])

    for one, other, theirs in [
        ("RShoulder", "RElbow", ("R_Shoulder", "R_Elbow")), ("LKnee", "LFoot", ("L_Knee", "L_Ankle")),
        ("RWrist", "LFoot", ("R_Wrist", "L_Ankle")), ("LHip", "Thorax", ("L_Hip", "Neck")),
    ]:  # fmt: skip
        assert apart(one, other) == pytest.approx(np.linalg.norm(named[theirs[0]] - named[theirs[1]]), abs=0.01)
    assert record.provenance_3d[POSE17.index("RElbow")] == LABELLED
    assert record.provenance_3d[POSE17.index("Head")] == MADE
    # z up and on the floor
    world = mocap.read_smpl(smpl.open_file(folder / "07_01_poses.npz"))[0]
    feet = world[:, [POSE17.index("RFoot"), POSE17.index("LFoot")], 2]
    assert feet.min() == pytest.approx(80.0)
    assert (world[:, POSE17.index("Head"), 2] > feet.max(1)).all()


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"joints": np.zeros((3, 17, 3))}, "joints has shape"),
        ({"poses": np.zeros((3, 10)), "trans": np.zeros((3, 3))}, "poses has shape"),
        ({"poses": np.zeros((3, 66)), "trans": np.zeros((2, 3))}, r"no array trans \[3, 3\]"),
        ({"root_orient": np.zeros((3, 3)), "pose_body": np.zeros((3, 60)), "trans": np.zeros((3, 3))}, "no array pose"),
        (
            {"poses": np.array([None] * 3, object), "trans": np.zeros((3, 3))},
            "no array of numbers poses or pose_body",
        ),
    ],
)
def test_other_arrays(tmp_path, arrays, words):
    with pytest.raises(InputError, match=words):
        smpl.open_file(write(tmp_path / "a.npz", **arrays))
