"""The body head: its grid read as a plain loop reads it, its corrections, and people whom it was not trained on."""

import os
import pathlib

import numpy as np
import pytest

from tools.cli.errors import InputError
from tools.detection import body_head, fusion, mediapipe_models, people, regions
from tools.detection.body_head import Body
from tools.files import checksums
from tools.pose import joints

LSP, LANDMARKS = joints.joint_set("lsp14"), joints.joint_set("mediapipe33")


def test_a_joint_lies_where_most_probability_is_near():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (9, 11, 14)).astype(np.float32)
    logits[[0, 8], [10, 0], [3, 4]] += 12  # at the edges
    others = rng.uniform(-0.2, 1.2, (14, 2))
    places, confidence, support = body_head.decode(logits, others)
    for joint in range(14):
        shares = np.exp(logits[..., joint].astype(float))
        shares /= shares.sum()
        best, place, there = 0.0, None, 0.0
        for row in range(9):
            for column in range(11):
                near = [(r, c) for r in range(9) for c in range(11) if np.hypot(r - row, c - column) <= 1.6]
                total = sum(shares[cell] for cell in near)
                if (int(np.floor(others[joint, 0] * 11)), int(np.floor(others[joint, 1] * 9))) == (column, row):
                    there = total
                if total > best:
                    mean = np.sum([shares[r, c] * np.array([c + 0.5, r + 0.5]) for r, c in near], 0) / total
                    best, place = total, mean / [11, 9]
        assert confidence[joint] == pytest.approx(best)
        np.testing.assert_allclose(places[joint], place, atol=1e-9)
        assert support[joint] == pytest.approx(there)
    assert confidence[3] > 0.9


def body_of(points, confidence=0.9):
    return Body(joints.convert(points, "mediapipe33", "lsp14")[0].astype(float), np.full(14, confidence), np.zeros(14))


def landmarks():
    """Somebody who stands, 200 px high: right joints at the left of the picture."""
    heights = {
        "Shoulder": 40,
        "Elbow": 75,
        "Wrist": 105,
        "Hip": 105,
        "Knee": 150,
        "Ankle": 190,
        "Heel": 196,
        "Foot": 198,
    }
    heights |= {"Pinky": 112, "Index": 114, "Thumb": 110}
    points = []
    for name in LANDMARKS.joints:
        height = next((value for part, value in heights.items() if part in name), 15)
        points.append([100 + {"L": 20, "R": -20}.get(name[0], 0) * (0.3 if height == 15 else 1), height])
    return np.array(points, float)


def test_near_joints_meet_half_way():
    points, visibility = landmarks(), np.linspace(0.2, 1, 33)
    found = fusion.corrected(points, visibility, body_of(points + 2.0))
    eye, shoulder, elbow, heel, knee = (
        LANDMARKS.index(name) for name in ("REye", "RShoulder", "LElbow", "LHeel", "LKnee")
    )
    np.testing.assert_allclose(
        found[[shoulder, elbow, heel, knee]] - points[[shoulder, elbow, heel, knee]], 1.0, atol=1e-5
    )
    # The crown, made of ears and shoulders, goes half of the way that is left when the shoulders have moved.
    np.testing.assert_allclose(found[eye] - points[eye], (2.0 - (1 - 1.6) * 1.0) * 0.5 / 1.6, atol=1e-5)


def test_joints_go_where_the_body_is_sure_and_hands_with_them():
    points, visibility = landmarks(), np.full(33, 0.6)
    body = body_of(points)
    wrist, knee = LSP.index("LWrist"), LSP.index("RKnee")
    body.points[wrist] += [40, -60]
    body.points[knee] += [0, 50]
    body.confidence[knee] = 0.05
    elbow = LSP.index("RElbow")
    body.points[elbow] += [0, 60]
    body.support[elbow] = 0.8 * body.confidence[elbow]  # where the landmark is it may be as well
    found = fusion.corrected(points, visibility, body)
    hand = [LANDMARKS.index(name) for name in ("LWrist", "LPinky", "LIndex", "LThumb")]
    moved = np.zeros((33, 2))
    moved[hand] = [40, -60]
    np.testing.assert_allclose(found - points, moved, atol=1e-5)
    visibility[hand[0]] = 0.4  # a hidden wrist stays, and its hand
    np.testing.assert_array_equal(fusion.corrected(points, visibility, body), points)


def test_two_joints_do_not_come_to_lie_on_one_landmark():
    points = landmarks()
    body = body_of(points)
    body.points[LSP.index("RElbow")] = body.points[LSP.index("LElbow")]
    found = fusion.corrected(points, np.ones(33), body)
    np.testing.assert_allclose(found, points, atol=1e-5)
    for name, other in (("RElbow", "LElbow"), ("LElbow", "RElbow")):  # sides that change places do
        body.points[LSP.index(name)] = points[LANDMARKS.index(other)]
    found = fusion.corrected(points, np.ones(33), body)
    left, right = LANDMARKS.index("LElbow"), LANDMARKS.index("RElbow")
    np.testing.assert_allclose(found[[left, right]], points[[right, left]], atol=1e-5)


def test_the_face_follows_so_that_the_crown_is_the_bodys():
    points = landmarks()
    body = body_of(points)
    crown = LSP.index("HeadTop")
    body.points[crown] += [60, 30]
    found = fusion.corrected(points, np.ones(33), body)
    np.testing.assert_allclose(joints.convert(found, "mediapipe33", "lsp14")[0][crown], body.points[crown], atol=1e-3)
    face = LANDMARKS.index("RMouth") + 1
    np.testing.assert_array_equal(found[face:], points[face:])
    np.testing.assert_allclose(found[:face] - found[0], points[:face] - points[0], atol=1e-9)


def test_the_region_of_a_body_stands_as_it_does():
    points = body_of(landmarks()).points
    upright = body_head.region_of(points)
    assert upright.angle == pytest.approx(0, abs=1e-6)
    inside = upright.from_picture(points)
    assert ((inside > 0) & (inside < 1)).all()
    lying = body_head.region_of(points[:, ::-1] * [-1, 1])
    assert lying.side == pytest.approx(upright.side)
    assert lying.angle == pytest.approx(np.pi / 2, abs=1e-6) or lying.angle == pytest.approx(-np.pi / 2, abs=1e-6)


def test_card_and_docs_have_the_threshold_of_the_code():
    root = pathlib.Path(__file__).parents[3]
    for name in ("tools/detection/weights/README.md", "docs/photographs_and_video.md", "docs/results.md"):
        text = " ".join((root / name).read_text(encoding="utf-8").split())
        assert f"{fusion._NEAR:g} of a head's length" in text, name


def test_damaged_weights_are_named(tmp_path, monkeypatch):
    broken = tmp_path / "body_head.tflite"
    broken.write_bytes(body_head.WEIGHTS.read_bytes()[:-1])
    monkeypatch.setattr(body_head, "WEIGHTS", broken)
    for damage in (lambda: None, broken.unlink):
        damage()
        with pytest.raises(InputError, match=r"body_head\.tflite: missing, damaged.*--detector=mediapipe_only does wi"):
            body_head.BodyHead()


def test_a_head_of_ones_own_is_read_from_its_folder(tmp_path):
    own, inner = tmp_path / "own", [np.zeros(shape, np.float32) for shape in body_head._SHAPES]
    with pytest.raises(InputError, match=r"own: no such file; expected a folder with body_head\.tflite"):
        body_head.check(str(own))
    own.mkdir()
    content = body_head.WEIGHTS.read_bytes()
    (own / "body_head.tflite").write_bytes(content)
    (own / "body_head.sha256").write_text(body_head.CHECKSUM.read_text())
    assert body_head.check(str(own)) == body_head.checksum()
    shipped = body_head.BodyHead().logits(inner)
    np.testing.assert_array_equal(body_head.BodyHead(1, str(own)).logits(inner), shipped)
    (own / "body_head.tflite").write_bytes(content[:-1])
    with pytest.raises(InputError, match=r"damaged, or not the file that body_head\.sha256 names"):
        body_head.check(str(own))
    with pytest.raises(InputError, match="--body_head=own: goes with --detector=mediapipe, not mediapipe_only"):
        people.settings_of("mediapipe_only", "own")


def test_a_head_of_ones_own_is_tried_in_a_process_of_its_own(tmp_path):
    """It ends that process; a checksum beside it says nothing, since whoever made the file can write it too."""
    path = tmp_path / "body_head.tflite"
    path.write_bytes(body_head.WEIGHTS.read_bytes()[: body_head.WEIGHTS.stat().st_size // 2])
    with pytest.raises(InputError, match="not a TensorFlow Lite model, or damaged"):
        body_head.check(str(tmp_path))
    path.with_suffix(".sha256").write_text(checksums.of_file(path))
    with pytest.raises(InputError, match="not a TensorFlow Lite model, or damaged"):
        body_head.BodyHead(1, str(tmp_path))
    path.with_suffix(".sha256").unlink()
    os.mkfifo(path.with_suffix(".sha256"))  # nobody waits for it
    with pytest.raises(InputError, match="missing, damaged, or not the file"):
        body_head.check(str(tmp_path))
    path.with_suffix(".sha256").unlink()
    if mediapipe_models.available():
        path.write_bytes(mediapipe_models.model_file("detector").read_bytes())
        path.with_suffix(".sha256").write_text(checksums.of_file(path))
        with pytest.raises(InputError, match="not a body head: other inputs or outputs"):
            body_head.BodyHead(1, str(path))


def test_people_upside_down_are_read_better_than_without(lspet_val):
    from tfrecords.source import Options
    from tfrecords.sources.photos import Photos

    source, network = Photos(lspet_val, Options()), mediapipe_models.LandmarkNetwork(head=True)
    files, table, _, _ = source.arrays()
    alone, corrected = [], []
    for file, person in list(zip(files, table))[:40]:
        truth, known = person[:, :2], person[:, 2] > 0
        head = np.linalg.norm(truth[LSP.index("HeadTop")] - truth[LSP.index("Neck")])
        if known.all():
            reading = network.look(
                source.picture(file), regions.Region(*truth.mean(0), 3.0 * np.ptp(truth, axis=0).max() / 2)
            )
            for points, hits in (
                (reading.points, alone),
                (fusion.corrected(reading.points, reading.visibility, reading.body), corrected),
            ):
                found = joints.convert(points, "mediapipe33", "lsp14")[0]
                hits.append(np.linalg.norm(found - truth, axis=-1) < head / 2)
    assert len(alone) >= 15
    assert np.mean(corrected) > np.mean(alone) + 0.05
