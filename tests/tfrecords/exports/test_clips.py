"""Rows of a video become clips: who is who, what changes and what stays."""

import json

import numpy as np
import pytest

from tfrecords.exports import clips, rows
from tools.files.columns import LabelFiles
from tools.pose import bones, sides
from tools.pose.joints import POSE17


def error(one, other):
    return np.linalg.norm(one - other, axis=-1).mean()


def test_two_people_of_a_video(tmp_path, video):
    files, both, person = video.label_files(tmp_path, wrong_mm=40.0)
    before, quality = files.read("poses_3d", 0, files.rows), files.read("quality", 0, files.rows)
    told = clips.make_clips(files, clips.ClipOptions(fps=video.FPS))
    after, track = files.read("poses_3d", 0, files.rows), files.read("track", 0, files.rows)
    assert (told["clips"], told["frames"], told["fps"], told["fps_known"]) == (2, 119, video.FPS, True)
    assert track[7] == -1
    assert np.isnan(after[7]).all()
    labelled = track >= 0
    assert len(np.unique(person[labelled & (track == 0)])) == 1
    assert len(np.unique(person[labelled & (track == 1)])) == 1
    frame = files.read("frame", 0, files.rows)
    truth = np.array([both[p][0][f] for p, f in zip(person, frame)])
    assert error(after[labelled], truth[labelled]) < 0.6 * error(before[labelled], truth[labelled])
    for number in (0, 1):
        vectors = after[track == number][:, bones.ENDS] - after[track == number][:, bones.STARTS]
        assert np.ptp(np.linalg.norm(vectors, axis=-1), axis=0).max() < 0.01
    hidden = files.read("interpolated", 0, files.rows)
    np.testing.assert_array_equal(hidden[labelled].any(1), (frame >= 20)[labelled] & (frame < 23)[labelled])
    assert hidden[:, POSE17.index("LWrist")].sum() == hidden.sum() == 6
    assert told["acceleration_mm"] < 0.4 * told["acceleration_before_mm"]
    assert told["bone_variation_percent"] == 0 < told["bone_variation_before_percent"]
    assert np.isnan(files.read("nominal_camera", 0, files.rows)).all()
    # Less error is expected of the frames of a clip, in all three columns.
    expected = files.read("expected_error_mm", 0, files.rows)
    np.testing.assert_allclose(expected[labelled], -85.0 * np.log(quality[labelled]), rtol=1e-5)
    np.testing.assert_allclose(
        files.read("quality", 0, files.rows)[labelled], np.exp(-expected[labelled] / 100), rtol=1e-5
    )
    np.testing.assert_allclose(
        files.read("joint_quality", 0, files.rows)[labelled, 3], np.exp(-expected[labelled] / 100), rtol=1e-5
    )
    files.write_npz(tmp_path / "labels.npz", {})
    with np.load(tmp_path / "labels.npz") as archive:
        np.testing.assert_array_equal(archive["poses_3d"], after)
        assert not [name for name in archive.files if name.startswith("_")]
    # What lifting wrote is still there: the clips can be made again, and are the same.
    files.close()
    again = LabelFiles(tmp_path, rows.COLUMNS, ("file", "sequence", "action"), {}, ["", "nobody"])
    np.testing.assert_array_equal(again.read("poses_3d", 0, again.rows), before)
    clips.make_clips(again, clips.ClipOptions(fps=video.FPS))
    np.testing.assert_array_equal(again.read("poses_3d", 0, again.rows), after)
    again.close()
    json.dumps(told)


def test_a_trackers_identities_are_taken(tmp_path, video):
    files, *_ = video.label_files(tmp_path, people=1)
    assert clips.make_clips(files, clips.ClipOptions(identities=True))["clips"] == 1
    assert (files.read("track", 0, files.rows) >= 0).sum() == 59
    files.close()


@pytest.mark.parametrize(("sequence", "always", "count"), [("", False, 0), ("", True, 1), ("a", False, 1)])
def test_what_is_a_sequence(tmp_path, sequence, always, count, video):
    files, *_ = video.label_files(tmp_path, people=1, sequence=sequence)
    assert clips.make_clips(files, clips.ClipOptions(always=always))["clips"] == count
    files.close()


def test_too_few_frames_are_no_sequence(tmp_path, video):
    files, *_ = video.label_files(tmp_path, frames=8, people=1)
    assert clips.make_clips(files, clips.ClipOptions(fps=5.0))["clips"] == 1
    files.close()
    (tmp_path / "b").mkdir()
    files, *_ = video.label_files(tmp_path / "b", frames=8, people=2, sequence="x")
    kept = files.rows
    files.rows = 8  # four frames
    assert clips.make_clips(files, clips.ClipOptions())["clips"] == 0
    files.rows = kept
    files.close()


def test_the_root_follows_the_person_where_the_camera_is_unknown(tmp_path, video):
    """Its path, seen by the nominal camera, is where the picture shows the root."""
    files, *_ = video.label_files(tmp_path, people=2, known=False)
    clips.make_clips(files, clips.ClipOptions(fps=video.FPS))
    rows = np.flatnonzero(files.read("track", 0, files.rows) >= 0)
    roots, camera = files.read("roots", 0, files.rows)[rows], files.read("nominal_camera", 0, files.rows)[rows]
    assert len(np.unique(camera, axis=0)) == 1
    np.testing.assert_allclose(camera[0, 2:], video.CAMERA[2:])
    seen = roots[:, :2] / roots[:, 2:] * camera[:, :2] + camera[:, 2:]
    true = files.read("poses_2d", 0, files.rows)[rows, POSE17.root]
    assert np.linalg.norm(seen - true, axis=-1).mean() < 12.0
    assert np.ptp(true[:, 0]) > 300
    files.close()


def test_one_person_has_the_same_bones_everywhere(tmp_path, video):
    """Rows outside clips and clips alike; labels that there are not stay so, and too few leave all as it was."""
    files, both, _ = video.label_files(tmp_path, people=1, sequence="", wrong_mm=40.0)
    before = files.read("poses_3d", 0, files.rows)
    quality = files.read("quality", 0, files.rows)
    summary = clips.make_clips(files, clips.ClipOptions(clips=False, one_person=True))
    after = files.read("poses_3d", 0, files.rows)
    labelled = np.isfinite(before).all((1, 2))
    assert not labelled.all()
    assert (summary["clips"], summary["one_person"]) == (0, labelled.sum())
    np.testing.assert_array_equal(np.isfinite(after).all((1, 2)), labelled)
    lengths = np.linalg.norm(after[labelled][:, bones.ENDS] - after[labelled][:, bones.STARTS], axis=-1)
    assert np.ptp(lengths, axis=0).max() < 0.01
    truth = both[0][0][files.read("frame", 0, files.rows)]
    assert error(after[labelled], truth[labelled]) < 0.9 * error(before[labelled], truth[labelled])
    assert (files.read("track", 0, files.rows) == -1).all()
    np.testing.assert_array_equal(files.read("quality", 0, files.rows), quality)
    # A clip of them has the same bones.
    clips.make_clips(files, clips.ClipOptions(always=True, one_person=True))
    of_clip = files.read("poses_3d", 0, files.rows)[files.read("track", 0, files.rows) == 0]
    of_clip = np.linalg.norm(of_clip[:, bones.ENDS] - of_clip[:, bones.STARTS], axis=-1)
    assert len(of_clip) == labelled.sum()
    np.testing.assert_allclose(of_clip, np.tile(lengths[0], (len(of_clip), 1)), rtol=0.02)
    kept = files.rows
    files.rows = 4
    summary = clips.make_clips(files, clips.ClipOptions(clips=False, one_person=True))
    assert (summary["clips"], summary["one_person"]) == (0, 4)
    files.rows = kept
    files.close()


def test_exchanged_sides_are_put_right_and_lifted_once_more(tmp_path, video):
    files, _, _ = video.label_files(tmp_path, people=1)
    exact = files.read("_points", 0, files.rows).copy()
    frame = files.read("frame", 0, files.rows)
    swapped = np.zeros((files.rows, 2), bool)
    swapped[(frame >= 30) & (frame < 36)] = True, False
    swapped[(frame >= 45) & (frame < 47)] = True
    column = files.overlay("_points")
    column.write(np.arange(files.rows), sides.put_right(exact, swapped))
    column.close()
    files.use_overlays()
    asked = []

    def lift(points, labelled, intrinsics):
        asked.append((points, labelled))
        rows = np.array([np.nanargmin(np.nansum(np.abs(exact - p), (1, 2))) for p in points])
        names = ("poses_3d", "roots", "quality", "expected_error_mm", "joint_quality")
        return {name: files.read(name, 0, files.rows)[rows].copy() for name in names}

    summary = clips.make_clips(files, clips.ClipOptions(fps=video.FPS), lift)
    assert (summary["clips_with_exchanged_sides"], summary["frames_with_exchanged_sides"]) == (1, 8)
    ((points, labelled),) = asked
    there = files.read("track", 0, files.rows) == 0
    np.testing.assert_array_equal(points, exact[there])
    np.testing.assert_array_equal(labelled, files.read("provenance", 0, files.rows)[there] == 2)
    found = files.read("poses_3d", 0, files.rows).copy()
    files.close()
    files, _, _ = video.label_files(tmp_path / "right", people=1)
    clips.make_clips(files, clips.ClipOptions(fps=video.FPS), lift)
    np.testing.assert_allclose(found, files.read("poses_3d", 0, files.rows), atol=0.01)
    assert len(asked) == 1  # what is right is not lifted again
    files.close()


def test_noisy_key_points_are_smoothed_and_lifted_once_more(tmp_path, video):
    files, _, _ = video.label_files(tmp_path, wrong_mm=40.0)
    exact = files.read("_points", 0, files.rows).copy()
    asked = []

    def lift(points, labelled, intrinsics):
        asked.append(points)
        assert labelled.shape == points.shape[:2]
        assert intrinsics.shape == (len(points), 4)
        rows = np.array([np.nanargmin(np.nansum(np.abs(exact - p), (1, 2))) for p in points])
        names = ("poses_3d", "roots", "quality", "expected_error_mm", "joint_quality")
        columns = {name: files.read(name, 0, files.rows)[rows].copy() for name in names}
        columns["expected_error_mm"][:] = 50.0
        return columns

    summary = clips.make_clips(files, clips.ClipOptions(fps=video.FPS), lift)
    assert (summary["noisy_clips"], summary["noise_px"], asked) == (0, 0.0, [])
    files.close()
    files, _, _ = video.label_files(tmp_path / "noisy", wrong_mm=40.0)
    noisy = exact + np.random.default_rng(0).normal(0, 4.0, exact.shape).astype(np.float32)
    column = files.overlay("_points")
    column.write(np.arange(files.rows), noisy)
    column.close()
    files.use_overlays()
    summary = clips.make_clips(files, clips.ClipOptions(fps=video.FPS), lift)
    assert (summary["noisy_clips"], len(asked)) == (2, 2)
    assert 3.0 < summary["noise_px"] < 5.0
    expected, track = files.read("expected_error_mm", 0, files.rows), files.read("track", 0, files.rows)
    np.testing.assert_allclose(expected[track >= 0], 0.85 * 50.0, rtol=1e-5)
    files.close()
