"""Measuring records: by a predictor that knows the truth and is off by a known amount; what cannot be used is named."""

import dataclasses
import pathlib

import cv2
import numpy as np
import pytest
import tensorflow as tf

from baseline_network.evaluation import pose_errors, record_evaluation
from baseline_network.network import hourglass, targets
from baseline_network.prediction.predictor import Predictor
from tfrecords import reader
from tfrecords.schema import OCCLUDED, UNKNOWN, VISIBLE
from tools.cli.errors import InputError


class Knowing:
    """Predicts each picture's truth, `off` px to the right; like the network, it fails on what cannot be decoded."""

    margin = 1.5

    def __init__(self, records, off=0.0):
        self._truth, self._off, self.boxes = {}, off, {}
        for record in records:
            self._truth[record.image] = [
                targets.MPII16_FROM_POSE17 @ getattr(record, field) for field in ("pose_2d", "pose_3d")
            ]

    def from_files(self, encoded, boxes):
        found = []
        for image, box in zip(encoded.numpy(), boxes.numpy()):
            tf.io.decode_image(image, channels=3)
            self.boxes[image] = box
            points, pose = self._truth[image]
            found.append((points + [self._off, 0], pose))
        points, poses = (np.array([one[i] for one in found], np.float32) for i in (0, 1))
        confidence = np.full([len(found), 16], 0.5, np.float32)
        return {
            name: tf.constant(values)
            for name, values in (("points", points), ("pose_3d", poses), ("confidence", confidence))
        }


@pytest.fixture(scope="module")
def predictor():
    return Predictor(hourglass.build(hourglass.Sizes(1, 1, 16, 64), dtype="float32"), flip=False)


@pytest.fixture
def write(write_pictured, tmp_path):
    """write(records, name): one TFRecord file."""
    return lambda records, name="some.tfrecord": write_pictured(tmp_path / name, records)


@pytest.mark.parametrize(("limit", "batch_size"), [(0, 3), (5, 3), (6, 3), (0, 32)])
def test_known_errors(rendered_people, write, limit, batch_size):
    people = rendered_people[:8]
    knowing = Knowing(people, off=2.0)
    result = record_evaluation.evaluate_records(knowing, write(people), batch_size, limit=limit, quiet=True)
    count = limit or 8
    np.testing.assert_array_equal(result.numbers, np.arange(count))
    np.testing.assert_allclose(result.errors["distance_px"], 2.0, rtol=1e-4)
    heads = [np.linalg.norm(person.pose_2d[0] - person.pose_2d[2]) for person in people[:count]]
    np.testing.assert_allclose(result.errors["distance_heads"][:, 0], 2.0 / np.array(heads), rtol=1e-4)
    assert result.errors["mpjpe_sized"].max() < 0.1
    assert result.errors["p_mpjpe"].max() < 0.1
    sides = np.array([person.box[2:].max() for person in people[:count]])
    for name, size in (("pck_box@0.05", sides), ("pck_crop@0.05", sides * 1.5)):
        np.testing.assert_array_equal(result.errors[name], np.repeat(100.0 * (0.05 * size > 2.0)[:, None], 16, 1))
    assert list(result.actions) == [person.action for person in people[:count]]
    assert set(result.datasets) == {"rendered"}
    assert not result.skipped
    assert not result.named
    values, text = result.person_errors()
    assert values.shape == (count,)
    assert text.endswith("mm")


def test_what_has_no_3d_is_measured_in_2d(rendered_people, write):
    flat = [
        dataclasses.replace(person, pose_3d=np.full([17, 3], np.nan), provenance_3d=np.zeros(17, np.uint8))
        for person in rendered_people[:3]
    ]
    knowing = Knowing(rendered_people[:4], 3.0)
    result = record_evaluation.evaluate_records(knowing, write([*flat, rendered_people[3]]), quiet=True)
    figures = pose_errors.summary(result.errors)
    assert (figures["images_2d"], figures["images_3d"]) == (4, 1)
    assert figures["distance_px"] == pytest.approx(3, rel=1e-4)
    alone = record_evaluation.evaluate_records(knowing, write(flat), quiet=True)
    assert "mpjpe_published" not in pose_errors.summary(alone.errors)
    np.testing.assert_allclose(alone.person_errors()[0], pose_errors.by_person(alone.errors["distance_heads"]))


def encoded(picture, kind=".png"):
    done, data = cv2.imencode(kind, picture)
    assert done
    return data.tobytes()


def test_odd_records_are_measured_and_unusable_ones_named(rendered_people, write, predictor):
    sound = rendered_people[0]
    picture = cv2.imdecode(np.frombuffer(sound.image, np.uint8), cv2.IMREAD_COLOR)
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)

    def with_image(image, **changes):
        return dataclasses.replace(sound, image=image, image_format="png", **changes)

    lossless = with_image(encoded(picture))
    used = {
        "sound": sound,
        "no box": dataclasses.replace(lossless, box=np.full(4, np.nan)),
        "no size": dataclasses.replace(lossless, image_size=np.full(2, -1)),
        "box reaches out": dataclasses.replace(sound, box=np.array([-300, -200, 560, 560])),
        "lossless": lossless,
        "RGBA": with_image(encoded(np.dstack([picture, np.full(grey.shape, 30, np.uint8)]))),
        "16 bit": with_image(encoded(picture.astype(np.uint16) * 257)),
        "grey": with_image(encoded(grey)),
        "three greys": with_image(encoded(np.dstack([grey] * 3))),
        "one pixel": with_image(encoded(picture[:1, :1]), image_size=[1, 1], box=[0, 0, 1, 1]),
    }
    unusable = {
        "cut": (with_image(sound.image[:400]), record_evaluation.BROKEN),
        "text": (with_image(b"no picture at all"), record_evaluation.BROKEN),
        "text without size": (with_image(b"?", image_size=np.full(2, -1)), record_evaluation.BROKEN),
        "bare": (dataclasses.replace(sound, image=b"", image_format=""), record_evaluation.NO_PICTURE),
        "box right": (dataclasses.replace(sound, box=[256, 0, 50, 50]), record_evaluation.BOX_OUTSIDE),
        "box above": (dataclasses.replace(sound, box=[0, -70, 50, 60]), record_evaluation.BOX_OUTSIDE),
        "no pose": (
            dataclasses.replace(
                sound,
                **{f"pose_{d}": np.full([17, int(d[0])], np.nan) for d in ("2d", "3d")},
                **{f"provenance_{d}": np.zeros(17, np.uint8) for d in ("2d", "3d")},
                file="poseless.jpg",
            ),
            record_evaluation.NO_TRUTH,
        ),
    }
    # Mixed, so that batches of 4 have sound and broken pictures.
    order = [*list(used)[:3], *list(unusable)[:3], *list(used)[3:], *list(unusable)[3:]]
    file = write([used[name] if name in used else unusable[name][0] for name in order])
    result = record_evaluation.evaluate_records(predictor, file, 4, quiet=True)
    rows = {order[number]: row for row, number in enumerate(result.numbers)}
    assert set(rows) == set(used)
    reasons = [reason for _, reason in unusable.values()]
    assert result.skipped == {reason: reasons.count(reason) for reason in sorted(set(reasons))}
    for name, (_, reason) in unusable.items():
        assert sum(f"{file}: record {order.index(name)}" in line and reason in line for line in result.named) == 1
    assert any("(poseless.jpg)" in line for line in result.named)

    def same(one, other):
        for name in ("distance_px", "mpjpe_published"):
            np.testing.assert_allclose(result.errors[name][rows[one]], result.errors[name][rows[other]], rtol=1e-3)

    same("16 bit", "lossless")
    same("RGBA", "lossless")
    same("no size", "lossless")
    same("grey", "three greys")
    # One of several thousand is predicted as it is among sound ones.
    alone = record_evaluation.evaluate_records(predictor, write([sound], "alone.tfrecord"), quiet=True)
    np.testing.assert_allclose(alone.errors["distance_px"][0], result.errors["distance_px"][rows["sound"]], rtol=1e-3)
    for values in result.errors.values():
        assert np.isfinite(values).all()


def test_boxes(rendered_people, write):
    """The record's own, or the joints', are what the crop lies around."""
    row_slice = rendered_people[0]
    without = dataclasses.replace(rendered_people[1], box=np.full(4, np.nan))
    knowing = Knowing([row_slice, without])
    record_evaluation.evaluate_records(knowing, write([row_slice, without]), quiet=True)
    np.testing.assert_array_equal(knowing.boxes[row_slice.image], row_slice.box)
    joints, box = without.pose_2d, knowing.boxes[without.image]
    assert np.all(box[:2] < joints.min(0))
    assert np.all(box[:2] + box[2:] > joints.max(0))


def test_nothing_usable(rendered_people, write):
    bare = [dataclasses.replace(person, image=b"", image_format="") for person in rendered_people[:3]]
    with pytest.raises(InputError, match=r"some\.tfrecord: none of 3 records can be measured: 3 no picture"):
        record_evaluation.evaluate_records(Knowing([]), write(bare), quiet=True)


def test_damaged_shards_are_named(rendered_people, write, tmp_path):
    file = write(rendered_people[:3])
    damaged = tmp_path / "damaged.tfrecord"
    data = bytearray(pathlib.Path(file).read_bytes())
    data[-3000] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(InputError, match=r"damaged\.tfrecord: record 2"):
        record_evaluation.evaluate_records(Knowing(rendered_people[:3]), str(damaged), quiet=True)


def test_records_by_number(rendered_people, write, tmp_path):
    write(rendered_people[:3], "a.tfrecord")
    write(rendered_people[3:4], "b.tfrecord")
    write(rendered_people[4:9], "c.tfrecord")
    where = str(tmp_path / "*.tfrecord")
    found = record_evaluation.read_some(where, [8, 0, 3, 2])
    assert sorted(found) == [0, 2, 3, 8]
    for number, record in found.items():
        assert record["image"][0] == rendered_people[number].image
        np.testing.assert_array_equal(record["pose_3d"][0], rendered_people[number].pose_3d)
    records = reader.find(where)
    places = {0: ("a", 0), 2: ("a", 2), 3: ("b", 0), 4: ("c", 0), 8: ("c", 4)}
    for number, (file, inside) in places.items():
        assert record_evaluation.place_of(records, number).endswith(f"{file}.tfrecord: record {inside}")


def test_visibility_of_made_joints_is_the_worst_of_their_sources():
    codes = np.full([3, 17], VISIBLE)
    codes[0, 3] = OCCLUDED  # RShoulder, of which the Thorax is made too
    codes[1, 10] = UNKNOWN  # Hip
    codes[2, [3, 6]] = OCCLUDED, UNKNOWN
    expected = np.full([3, 16], VISIBLE)
    expected[0, [12, 7]] = OCCLUDED
    expected[1, 6] = UNKNOWN
    expected[2, 12], expected[2, [13, 7]] = OCCLUDED, UNKNOWN
    np.testing.assert_array_equal(record_evaluation.visibility_of(codes), expected)
