"""Clips against motions whose truth is known, and the smoothers against slow solutions of the same equations."""

import numpy as np
import pytest

from label_generator.lifting import streams
from tools.pose import bones, sequences, tracks
from tools.pose.joints import POSE17

FPS = 25.0


def motion(frames, seed=0):
    """A person of constant bones, the pelvis one of them, who walks, waves and turns.

    Returns: root-relative poses [T, 17, 3] and roots [T, 3], mm.
    """
    rng = np.random.default_rng(seed)
    lengths = {"Spine": 230, "Thorax": 250, "Neck/Nose": 110, "Head": 120, "Hip": 130, "Knee": 440, "Foot": 420}
    lengths |= {"Shoulder": 170, "Elbow": 280, "Wrist": 250}
    rest = {"Spine": (0, -1, 0), "Thorax": (0, -1, 0), "Neck/Nose": (0, -1, 0.2), "Head": (0, -1, 0)}
    time = np.arange(frames) / FPS
    poses = np.zeros((frames, POSE17.size, 3))
    for joint in bones.ORDER[1:]:
        name = POSE17.joints[joint]
        part, side = (name[1:], {"R": -1, "L": 1}[name[0]]) if name not in rest else (name, 0)
        start = np.array(rest.get(name, (side, 0, 0) if part in ("Hip", "Shoulder") else (0.1 * side, 1, 0)), float)
        swing, phase = rng.uniform(0.1, 0.5, 3), rng.uniform(0, 6, 3)
        bone = start + swing * np.sin(2 * np.pi * 0.7 * time[:, None] + phase)
        bone *= lengths[part] / np.linalg.norm(bone, axis=-1, keepdims=True)
        if POSE17.joints[joint] == "LHip":  # the pelvis is one bone
            bone = -poses[:, POSE17.index("RHip")]
        poses[:, joint] = poses[:, POSE17.parents[joint]] + bone
    roots = np.stack([800 * np.sin(0.6 * time), 30 * np.sin(5 * time), 4500 + 700 * np.sin(0.4 * time)], 1)
    return poses, roots


def labels(poses, roots, seed=1, depth_mm=40.0, side_mm=2.0):
    """A clip of labels that are wrong along their rays, by another amount in each frame."""
    rng = np.random.default_rng(seed)
    places = poses + roots[:, None]
    rays = places[..., :2] / places[..., 2:]
    off = rng.normal(0, depth_mm, poses.shape[:2]) * (np.arange(17) != POSE17.root)
    wrong = places + bones.ray_directions(rays) * off[..., None] + rng.normal(0, side_mm, poses.shape)
    # The depth of the whole person is wrong too, as if they were larger or smaller.
    size = np.exp(rng.normal(0, 0.03, len(poses)))[:, None, None]
    wrong *= size
    root = wrong[:, POSE17.root]
    expected = np.full(poses.shape[:2], depth_mm)
    return sequences.Clip(wrong - root[:, None], root, rays, np.ones(poses.shape[:2], bool), expected, FPS)


def error(one, other):
    return np.linalg.norm(one - other, axis=-1).mean()


def sizes_of(poses):
    return np.linalg.norm(poses[:, bones.ENDS] - poses[:, bones.STARTS], axis=-1)


def test_a_clip_is_better_than_its_frames():
    poses, roots = motion(120)
    clip = labels(poses, roots)
    result = sequences.refine(clip)
    spread = np.ptp(sizes_of(result.poses_3d), axis=0)
    assert spread.max() < 1e-6
    np.testing.assert_allclose(sizes_of(result.poses_3d)[0], result.lengths[bones.ENDS], atol=1e-6)
    np.testing.assert_allclose(result.lengths[bones.ENDS], sizes_of(poses)[0], rtol=0.06)
    assert error(result.poses_3d, poses) < 0.5 * error(clip.poses_3d, poses)
    assert error(result.roots, roots) < 0.7 * error(clip.roots, roots)
    second = np.diff(poses + roots[:, None], 2, axis=0)
    for mine, most in ((clip.poses_3d + clip.roots[:, None], 1e9), (result.poses_3d + result.roots[:, None], 6.0)):
        assert error(np.diff(mine, 2, axis=0), second) < most
    assert not result.interpolated.any()
    # The 2D agrees: what is seen is kept to about a pixel of a picture of 1000.
    places = result.poses_3d + result.roots[:, None]
    assert error(places[..., :2] / places[..., 2:], clip.rays) < 1.5e-3


def test_frames_without_a_label_are_between_their_neighbours():
    poses, roots = motion(80)
    clip = labels(poses, roots)
    hidden = POSE17.index("RWrist")
    clip.labelled[20:24, hidden] = False
    clip.rays[20:24, hidden] = np.nan
    gone = slice(50, 56)
    for values in (clip.poses_3d, clip.roots, clip.rays, clip.expected_mm):
        values[gone] = np.nan
    clip.labelled[gone] = False
    result = sequences.refine(clip)
    expected = np.zeros((80, 17), bool)
    expected[20:24, hidden], expected[gone] = True, True
    np.testing.assert_array_equal(result.interpolated, expected)
    assert error(result.poses_3d[gone], poses[gone]) < 60
    assert error(result.roots[gone], roots[gone]) < 100  # depth follows from size, which the clip knows to 2 %
    assert np.ptp(sizes_of(result.poses_3d), axis=0).max() < 1e-6
    with pytest.raises(ValueError, match="without any label"):
        sequences.refine(labels(poses * np.nan, roots))


def test_a_glitch_of_one_frame_is_outvoted():
    """One frame with left and right exchanged, as detectors do."""
    poses, roots = motion(60)
    clip = labels(poses, roots, depth_mm=15.0)
    clip.poses_3d[30], clip.rays[30] = clip.poses_3d[30][POSE17.mirror], clip.rays[30][POSE17.mirror]
    result = sequences.refine(clip)
    assert error(result.poses_3d[30], poses[30]) < 0.5 * error(clip.poses_3d[30], poses[30])


def test_long_clips_are_solved_in_parts(monkeypatch):
    poses, roots = motion(900)
    clip = labels(poses, roots)
    parts = sequences.refine(clip)
    monkeypatch.setattr(sequences, "_CHUNK", 2000)
    whole = sequences.refine(clip)
    assert np.abs(parts.poses_3d - whole.poses_3d).max() < 8.0
    assert np.abs(parts.roots - whole.roots).max() < 8.0
    assert error(parts.poses_3d, whole.poses_3d) < 0.3


@pytest.mark.parametrize("frames", [1, 2, 3, 7])
def test_the_band_solver_against_a_dense_one(frames):
    rng = np.random.default_rng(frames)
    size = 6
    half = rng.normal(size=(frames, size, size))
    blocks = half @ half.transpose(0, 2, 1) + np.eye(size)
    right, smooth = rng.normal(size=(frames, size)), rng.uniform(0.5, 3, (frames, size))
    dense = np.zeros((frames * size, frames * size))
    for t in range(frames):
        dense[t * size : (t + 1) * size, t * size : (t + 1) * size] = blocks[t]
    for t in range(1, frames - 1):
        for k in range(size):
            row = np.zeros(frames * size)
            for step, weight in ((-1, 1.0), (0, -2.0), (1, 1.0)):
                row[(t + step) * size + k] = weight
            dense += smooth[t, k] * np.outer(row, row)
    expected = np.linalg.solve(dense, right.ravel()).reshape(frames, size)
    np.testing.assert_allclose(sequences._solve(blocks, right, smooth), expected, rtol=1e-6, atol=1e-7)


def test_lengths_come_from_the_frames_that_see_them():
    """A forearm that points at the camera in most frames is measured where it lies across the view."""
    poses, roots = motion(40, seed=3)
    elbow, wrist = POSE17.index("RElbow"), POSE17.index("RWrist")
    true = np.linalg.norm(poses[0, wrist] - poses[0, elbow])
    poses[:, wrist] = poses[:, elbow] + [0, true, 0]
    rays_along = bones.ray_directions((poses + roots[:, None])[..., :2] / (poses + roots[:, None])[..., 2:])
    away = slice(0, 30)
    poses[away, wrist] = poses[away, elbow] + true * rays_along[away, elbow]
    clip = labels(poses, roots, depth_mm=1.0)
    clip.poses_3d[away, wrist] += rays_along[away, elbow] * 120.0  # wrong where it can't be seen
    lengths = bones.bone_lengths(clip.poses_3d, clip.rays, clip.expected_mm, clip.labelled)
    assert lengths[wrist] == pytest.approx(true, rel=0.05)
    assert lengths[POSE17.root] == 0


def test_single_pictures_of_one_person_get_their_lengths():
    poses, roots = motion(200)
    clip = labels(poses, roots)
    shuffled = np.random.default_rng(4).permutation(200)  # no clip: any pictures
    fields = (clip.poses_3d, clip.roots, clip.rays, clip.labelled, clip.expected_mm)
    clip = sequences.Clip(*(x[shuffled] for x in fields))
    poses, roots = poses[shuffled], roots[shuffled]
    clip.poses_3d[7], clip.roots[7] = np.nan, np.nan
    known = np.arange(200) != 7
    lengths = bones.bone_lengths(clip.poses_3d, clip.rays, clip.expected_mm, clip.labelled)
    after, places = sequences.with_lengths_of_person(clip, lengths)
    assert np.isnan(after[7]).all()
    assert np.isnan(places[7]).all()
    np.testing.assert_allclose(sizes_of(after[known]), np.tile(lengths[bones.ENDS], (199, 1)), atol=1e-6)
    assert error(after[known], poses[known]) < 0.8 * error(clip.poses_3d[known], poses[known])
    off, off_before = (np.abs(x[known, 2] / roots[known, 2] - 1).mean() for x in (places, clip.roots))
    assert off < 0.8 * off_before
    # Each picture by itself: the order and the others do not matter.
    fields = (clip.poses_3d, clip.roots, clip.rays, clip.labelled, clip.expected_mm)
    part = sequences.Clip(*(x[20:30] for x in fields))
    np.testing.assert_allclose(sequences.with_lengths_of_person(part, lengths)[0], after[20:30], atol=3.0)


def test_hips_beside_the_root_stay_there():
    """SMPL's root is above the hips: the pelvis is no bone through it."""
    poses, _ = motion(50)
    hips = [POSE17.index("RHip"), POSE17.index("LHip")]
    legs = [j for j in range(POSE17.size) if POSE17.joints[j][1:] in ("Hip", "Knee", "Foot")]
    across = poses[:, hips[:1]] / np.linalg.norm(poses[:, hips[:1]], axis=-1, keepdims=True)
    down = np.array([0.0, 1.0, 0.0]) - across[..., 1:2] * across
    poses[:, legs] += 90.0 * down / np.linalg.norm(down, axis=-1, keepdims=True)
    lengths = np.zeros(POSE17.size)
    lengths[bones.ENDS] = sizes_of(poses)[0]
    after = bones.with_bone_lengths(poses, lengths)
    np.testing.assert_allclose(after[:, hips], poses[:, hips], atol=1e-6)
    assert np.linalg.norm(after[:, hips].mean(1), axis=-1).min() > 89.0


def test_identities_through_a_crossing():
    """Two people pass each other, the rows of a frame in any order; one is away for a while."""
    rng = np.random.default_rng(0)
    body = rng.normal(0, 60, (2, 17, 2)) * [0.5, 1]
    frames, poses, who = [], [], []
    for frame in range(60):
        for person in rng.permutation(2):
            if person == 1 and 28 <= frame < 33:
                continue
            x = 200 + 10 * frame if person == 0 else 800 - 10 * frame
            frames.append(frame)
            poses.append(body[person] + [x, 300 + 60 * person] + rng.normal(0, 1, (17, 2)))
            who.append(person)
    poses = np.array(poses)
    poses[5, :9] = np.nan
    numbers = tracks.identities(np.array(frames), poses)
    same = numbers == np.array(who)
    assert same.all() or (~same).all()
    assert (tracks.identities(np.arange(2), np.full((2, 17, 2), np.nan)) == -1).all()
    # Somebody elsewhere is somebody else, and so is who comes back after long.
    far = np.stack([body[0] + [100, 300], body[0] + [900, 300], body[0] + [900, 300]])
    assert tracks.identities(np.array([0, 1, 100]), far).tolist() == [0, 1, 2]


def test_pieces_of_a_clip():
    frames = np.array([0, 5, 5, 10, 15, 100, 105])
    usable = np.array([True, True, True, False, True, True, False])
    assert tracks.frame_step(frames) == 5
    assert [piece.tolist() for piece in tracks.pieces(frames, usable, 5, 3)] == [[0, 1, 4], [5]]
    assert tracks.pieces(frames, np.zeros(7, bool), 5, 3) == []
    assert tracks.frame_step(np.array([4])) == 1


def test_the_root_follows_the_picture_of_an_unknown_camera():
    """Labels made as if everybody stood on the axis, put back where the picture shows them: seen again, they fit."""
    poses, roots = motion(50)
    focal, middle = 1100.0, np.array([500.0, 400.0])
    places = poses + roots[:, None]
    pixels = places[..., :2] / places[..., 2:] * focal + middle
    camera = tracks.nominal_camera(pixels, (1000, 800), 440.0, 5000.0)
    sizes = np.array([tracks.spread(pose) for pose in pixels])
    assert camera[0] == pytest.approx(5000 / 440 * np.median(sizes))
    np.testing.assert_allclose(camera[2:], middle)
    camera[:2] = focal  # as if it were the true one, then all is as it was
    straight, distance = [], []
    for pose, root in zip(poses, roots):
        direction = root / np.linalg.norm(root)
        straight.append(pose @ tracks._from_axis(direction[None])[0])
        distance.append(np.linalg.norm(root))
    nominal = np.stack([np.zeros(50), np.zeros(50), np.array(distance) * sizes / np.median(sizes)], 1)
    back, path = tracks.placed_by_nominal_camera(np.array(straight), nominal, pixels, camera)
    np.testing.assert_allclose(back, poses, atol=1e-6)
    np.testing.assert_allclose(path, roots, rtol=1e-9)
    without = tracks.nominal_camera(pixels, None, 440.0, 5000.0)
    np.testing.assert_allclose(without[2:], (pixels.min((0, 1)) + pixels.max((0, 1))) / 2)


def test_one_euro_against_the_papers_loop():
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.02, 0.05, 40))
    signal = np.sin(times * 3) + rng.normal(0, 0.05, 40)

    def alpha(cutoff, step):
        tau = 1 / (2 * np.pi * cutoff)
        return 1 / (1 + tau / step)

    expected, speed, value = [signal[0]], 0.0, signal[0]
    for k in range(1, 40):
        step = times[k] - times[k - 1]
        a = alpha(1.0, step)
        speed = a * (signal[k] - value) / step + (1 - a) * speed
        a = alpha(1.2 + 0.5 * abs(speed), step)
        value = a * signal[k] + (1 - a) * value
        expected.append(value)
    one_euro = streams.OneEuroFilter(1.2, 0.5)
    np.testing.assert_allclose([one_euro(np.array(x), t) for x, t in zip(signal, times)], expected, rtol=1e-9)
    with pytest.raises(ValueError, match="times must rise"):
        one_euro(np.array(0.0), times[-1])
    with pytest.raises(ValueError, match="above 0"):
        streams.OneEuroFilter(0.0)


def test_a_stream_is_smooth_and_its_bones_are_constant_in_each_frame():
    poses, roots = motion(150)
    clip = labels(poses, roots, depth_mm=25.0)
    stream = streams.LabelStream()
    shown = []
    for k in range(150):
        given = (np.full((17, 3), np.nan), np.full(3, np.nan)) if k in (0, 70) else (clip.poses_3d[k], clip.roots[k])
        pose, root = stream(*given, k / FPS, clip.expected_mm[k])
        shown.append(pose)
        if k:
            np.testing.assert_allclose(sizes_of(pose[None])[0], stream.lengths[bones.ENDS], rtol=1e-9)
            assert np.isfinite(root).all()
    assert np.isnan(shown[0]).all()
    shown = np.array(shown)
    second = np.diff(poses, 2, axis=0)
    assert error(np.diff(shown, 2, axis=0)[30:], second[30:]) < 0.5 * error(
        np.diff(clip.poses_3d, 2, axis=0)[30:], second[30:]
    )


def test_joints_made_of_noisy_ones_are_not_taken_for_exact():
    rng = np.random.default_rng(6)
    rays = np.cumsum(rng.normal(0, 1e-4, (60, POSE17.size, 2)), 0) + rng.normal(0, 0.004, (60, POSE17.size, 2))
    visible = np.ones((60, POSE17.size), bool)
    hidden = [POSE17.root, POSE17.index("Head")]
    visible[:, hidden] = False
    noise = sequences.ray_noise(rays, visible)
    np.testing.assert_allclose(noise, 0.004, rtol=0.35)
    np.testing.assert_allclose(noise[hidden], np.delete(noise, hidden).mean())
    assert not sequences.ray_noise(rays, np.zeros_like(visible)).any()
