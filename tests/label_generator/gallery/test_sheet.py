"""The demo's pictures and report, on labels of which everything is known."""

import numpy as np
import pytest

from label_generator.gallery import demo_poses
from label_generator.gallery import sheet as gallery
from label_generator.labelling import inputs
from tools.pose import joints


def labels(count=5, truth=True, right=True):
    """Labels of random poses; label 3 has none, label 1 is the best."""
    rng = np.random.default_rng(0)
    poses_3d = rng.normal(0, 300, (count, 17, 3)).astype(np.float32)
    poses_3d -= poses_3d[:, 10:11]
    reason = np.zeros(count, int)
    reason[3] = 1
    quality = np.array([0.4, 0.9, 0.6, np.nan, 0.5])[:count]
    lifted = {
        "coarse_3d": poses_3d + np.float32([30.0, 0, 0]),
        "pose_3d": poses_3d,
        "root_3d": np.tile(np.float32([0, 0, 4000.0]), (count, 1)),
        "right_2d": poses_3d[..., :2] if right else np.full((count, 17, 2), np.nan),
        "left_2d": poses_3d[..., :2] * 0.9,
        "quality": quality,
        "joint_quality": np.ones((count, 17)),
        "reason": reason,
        "nominal": np.zeros(count, bool),
        "at_range_end": np.zeros(count, bool),
    }
    provenance = np.full((count, 17), joints.LABELLED, np.uint8)
    provenance[:, 9] = joints.MADE
    poses_2d = poses_3d[..., :2] + 500
    return gallery.Labelled(
        [f"pose {i}" for i in range(count)], poses_2d, provenance, lifted, poses_3d if truth else None
    )


def test_caption_tells_quality_distance_and_error():
    assert gallery.panel(labels(), 0).shape[1] > 1000
    caption = labels().caption(1)
    assert caption == "pose 1: quality 0.90, root 4.00 m away, error 30 mm before, 0 mm after the search"
    assert labels().caption(3) == "pose 3: no label (too few labelled joints)"


def test_report_counts_labels_reasons_and_made_joints():
    text = gallery.report(labels())
    assert "5 poses, 4 labels" in text
    assert "no label: 1 (too few labelled joints)" in text
    assert "Spine 100%" in text
    assert "mean joint error before the search: 30.0 mm" in text


def test_joints_that_the_2d_lacks_are_in_the_3d_alone():
    whole, lacking = labels(), labels()
    lacking.provenance[0, joints.POSE17.index("LElbow")] = joints.MISSING
    one, other = gallery.panel(whole, 0), gallery.panel(lacking, 0)
    half = one.shape[1] // 2
    assert (one[:, :half] != other[:, :half]).any()
    np.testing.assert_array_equal(one[:, half:], other[:, half:])
    np.testing.assert_array_equal(next(gallery.turning(whole, 0)), next(gallery.turning(lacking, 0)))


def test_names_say_frame_where_the_input_has_frames_and_row_elsewhere(tmp_path):
    rows = [f"{i}," + ",".join(str(100 + 7 * j + i) for j in range(34)) for i in range(2)]
    columns = ",".join(f"{axis}{j}" for j in range(17) for axis in "xy")
    for column, expected in (("frame", "a.csv frame 1"), ("file", "1 row 1")):
        path = tmp_path / "a.csv"
        path.write_text("\n".join([f"{column},{columns}", *rows]))
        source = inputs.open_input(inputs.Spec(str(path), "array", joints="coco17"))
        assert demo_poses.names_of(source, list(source.batches(0, 2)))[1] == expected


def test_gallery_goes_from_best_to_worst_and_has_a_row_each():
    chosen = labels()
    assert gallery.best(chosen) == 1
    one, four = gallery.gallery(chosen, 1), gallery.gallery(chosen, 10)
    assert four.shape[0] == 4 * one.shape[0]
    np.testing.assert_array_equal(one, gallery.panel(chosen, 1))


@pytest.mark.parametrize("right", [True, False])
def test_right_view_is_drawn_only_where_there_is_one(right):
    narrow, wide = gallery.panel(labels(right=False), 0), gallery.panel(labels(right=True), 0)
    assert wide.shape[1] > narrow.shape[1]


def test_saved_labels_read_back(tmp_path):
    chosen = labels()
    demo_poses.save(str(tmp_path / "labels.npz"), chosen)
    with np.load(tmp_path / "labels.npz") as archive:
        np.testing.assert_array_equal(archive["poses_3d"], chosen.lifted["pose_3d"])
        assert archive["names"][2] == "pose 2"
    assert [path.name for path in tmp_path.iterdir()] == ["labels.npz"]


def test_joints_that_no_network_saw_are_not_drawn_at_the_root(monkeypatch):
    """Made joints are 0, 0 in the canonical view. The spine is made again in each view, the head not."""
    seen = {}
    monkeypatch.setattr(gallery.sheets, "side_by_side", lambda *poses, **more: seen.update(right=poses[1], **more))
    chosen = labels()
    head, spine, hip, thorax = (joints.POSE17.index(name) for name in ("Head", "Spine", "Hip", "Thorax"))
    chosen.provenance[0, head] = joints.MADE
    chosen.lifted["left_2d"][0, [head, spine]] = 0
    gallery.panel(chosen, 0)
    for view in (seen["right"], seen["left_2d"]):
        assert np.flatnonzero(np.isnan(view).any(-1)).tolist() == [head]
        np.testing.assert_allclose(view[spine], (view[hip] + view[thorax]) / 2, rtol=1e-5)
    gallery.panel(chosen, 1)
    assert np.isfinite(seen["left_2d"]).all()


def test_poses_that_the_reader_refused_keep_its_reason():
    chosen = labels()
    chosen.skipped[3] = "crowd"
    assert chosen.caption(3) == "pose 3: no label (crowd)"
    assert "no label: 1 (crowd)" in gallery.report(chosen)
