"""The choices of a camera: what intrinsics, what kind, and lens distortion taken out."""

import numpy as np
import pytest

from label_generator.labelling import cameras as label_cameras
from label_generator.labelling.batch import empty_batch
from tfrecords import schema
from tools.cli.errors import InputError
from tools.pose import cameras


def batch_of(people, **changes):
    batch = empty_batch(len(people.records))
    batch.poses_2d, batch.intrinsics = people.pose_2d, people.intrinsics
    batch.camera_kind[:] = schema.CAMERA_KINDS.index("calibrated")
    for name, value in changes.items():
        setattr(batch, name, value)
    return batch


def sizeless(batch):
    batch.image_size = np.full((300, 2), -1)
    return batch


def kinds_of(kinds):
    return {schema.CAMERA_KINDS[kind] for kind in kinds}


def test_camera_choices(people):
    batch = batch_of(people, image_size=np.tile([1000, 800], (300, 1)))
    cases = {
        "auto": (people.intrinsics, "calibrated"),
        "h36m": (np.tile(np.float32(cameras.SEARCH_INTRINSICS), (300, 1)), "assumed"),
        "700,710,320.5,240": (np.tile(np.float32([700, 710, 320.5, 240]), (300, 1)), "given"),
        "fov:90": (np.tile(np.float32([500, 500, 500, 400]), (300, 1)), "given"),
        "unknown": (np.full((300, 4), np.nan), "nominal"),
    }
    for text, (expected, kind) in cases.items():
        poses, intrinsics, kinds = label_cameras.parse_camera(text, None).pinhole_views(batch, 0)
        np.testing.assert_allclose(intrinsics, expected, rtol=1e-5)
        assert kinds_of(kinds) == {kind}
        np.testing.assert_array_equal(poses, people.pose_2d)
    # What the original's readers assume is nobody's calibration.
    batch.camera_kind[:7] = schema.CAMERA_KINDS.index("assumed")
    batch.intrinsics = people.intrinsics.copy()
    batch.intrinsics[9] = np.nan
    uncalibrated = [*range(7), 9]
    auto = label_cameras.parse_camera("auto", None)
    _, intrinsics, kinds = auto.pinhole_views(batch, 0)
    np.testing.assert_allclose(intrinsics[uncalibrated], np.tile([1280.6248, 1280.6248, 500, 400], (8, 1)), rtol=1e-6)
    assert kinds_of(kinds[uncalibrated]) == {"assumed"}
    assert kinds_of(np.delete(kinds, uncalibrated)) == {"calibrated"}
    np.testing.assert_allclose(np.delete(intrinsics, uncalibrated, 0), np.delete(people.intrinsics, uncalibrated, 0))
    for poses in (auto.pinhole_views(batch, 0, by_size=False), auto.pinhole_views(sizeless(batch), 0)):
        assert np.isnan(poses[1][uncalibrated]).all()
        assert kinds_of(poses[2][uncalibrated]) == {"nominal"}


def test_the_size_of_the_picture_can_be_stated(people):
    batch = batch_of(people, camera_kind=np.zeros(300, np.uint8))
    batch.image_size[:4] = [640, 480]
    _, intrinsics, kinds = label_cameras.parse_camera("auto", (300, 400)).pinhole_views(batch, 0)
    np.testing.assert_allclose(intrinsics[[3, 4]], [[800, 800, 320, 240], [500, 500, 150, 200]])
    assert kinds_of(kinds) == {"assumed"}
    _, intrinsics, _ = label_cameras.parse_camera("unknown", (300, 400)).pinhole_views(batch, 0)
    assert np.isnan(intrinsics).all()


def test_lens_distortion_is_taken_out(people):
    lens = np.float32([-0.2, 0.24, -0.001, -0.001, -0.002])
    bent = cameras.project(
        people.pose_3d.astype(np.float64) + people.root_3d[:, None], people.intrinsics[:, None], lens
    ).astype(np.float32)
    batch = batch_of(people, poses_2d=bent, distortion=np.tile(lens, (300, 1)))
    poses, _, _ = label_cameras.parse_camera("auto", None).pinhole_views(batch, 0)
    np.testing.assert_allclose(poses, people.pose_2d, atol=0.05)
    np.testing.assert_array_equal(batch.poses_2d, bent)


def test_field_of_view_needs_the_size_of_the_picture(people):
    batch = batch_of(people)
    batch.file[4] = "c.jpg"
    batch.image_size[:4] = [640, 480]
    with pytest.raises(InputError, match=r"--camera=fov:60: pose 14 \(c.jpg\) has no picture size; give --image_size"):
        label_cameras.parse_camera("fov:60", None).pinhole_views(batch, 10)
    _, intrinsics, _ = label_cameras.parse_camera("fov:90", (1920, 1080)).pinhole_views(batch, 10)
    np.testing.assert_allclose(intrinsics[[0, 4]], [[320, 320, 320, 240], [960, 960, 960, 540]], rtol=1e-6)


@pytest.mark.parametrize("text", ["h36", "1,2,3", "fov:", "fov:200", "-1,1,0,0", "fov:wide"])
def test_bad_cameras(text):
    with pytest.raises(InputError, match=f"--camera={text}: .* --camera is auto, h36m"):
        label_cameras.parse_camera(text, None)
