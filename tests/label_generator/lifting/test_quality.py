"""Label quality: its signals against loops, its calibration against errors of a known law."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf

from label_generator.lifting import quality
from tools.cli.errors import InputError
from tools.pose.joints import POSE17

LIMBS = [("Hip", "Knee"), ("Knee", "Foot"), ("Shoulder", "Elbow"), ("Elbow", "Wrist")]


def measured(count, rng):
    draws = {name: tf.constant(rng.uniform(2, 300, count), tf.float32) for name in quality.Measured._fields}
    for name in ("asymmetry", "bone_range", "range_end", "missing", "unknown"):
        draws[name] = tf.constant(rng.uniform(0, 1, count), tf.float32)
    draws["joint_expected_mm"] = tf.constant(rng.uniform(2, 300, (count, 17)), tf.float32)
    return quality.Measured(**draws)


def test_bone_signals_against_a_loop():
    poses = np.random.default_rng(1).normal(0, 300, (20, 17, 3)).astype(np.float32)
    asymmetry, outside = (signal.numpy() for signal in quality.bone_signals(tf.constant(poses)))
    for i, pose in enumerate(poses):
        ratios, excess = [], []
        for (start, end), (shortest, longest) in zip(LIMBS, quality.BONE_RANGE_MM):
            left, right = (
                float(np.linalg.norm(pose[POSE17.index(side + end)] - pose[POSE17.index(side + start)]))
                for side in "LR"
            )
            ratios.append(abs(math.log(left / right)))
            for length in (left, right):
                excess.append(max(0, math.log(shortest / length), math.log(length / longest)))
        assert asymmetry[i] == pytest.approx(np.mean(ratios), rel=1e-4)
        assert outside[i] == pytest.approx(np.mean(excess), rel=1e-4, abs=1e-6)


def test_a_body_of_human_size_has_no_bone_signal(people):
    asymmetry, outside = quality.bone_signals(tf.constant(people.pose_3d))
    assert float(tf.reduce_max(asymmetry)) < 0.2
    assert float(tf.reduce_mean(outside)) < 0.05


def test_signals_grow_and_stay_finite():
    rng = np.random.default_rng(2)
    first = measured(50, rng)
    worse = first._replace(residual_mm=first.residual_mm * 2, missing=first.missing + 0.1)
    low, high = quality.signals(first).numpy(), quality.signals(worse).numpy()
    assert low.shape == (50, len(quality.SIGNALS))
    changed = [quality.SIGNALS.index(name) for name in ("residual", "missing")]
    assert (high[:, changed] > low[:, changed]).all()
    np.testing.assert_array_equal(np.delete(high, changed, 1), np.delete(low, changed, 1))
    zero = quality.Measured(*[tf.zeros([3])] * 9, tf.fill([3], float("nan")), tf.fill([3, 17], float("nan")))
    assert np.isfinite(quality.signals(zero)).all()


def test_fit_finds_the_law_that_made_the_errors():
    rng = np.random.default_rng(3)
    columns = rng.normal(size=(4000, len(quality.SIGNALS)))
    law = rng.normal(0, 0.3, len(quality.SIGNALS))
    errors = np.exp(4.0 + columns @ law + rng.normal(0, 0.05, len(columns)))
    # Poses without a label are no part of it.
    columns[:10], errors[10:20] = np.nan, np.nan
    found = quality.fit(columns, errors, {"on": "a law"}, ridge=0.0)
    assert found.intercept == pytest.approx(4.0, abs=0.01)
    np.testing.assert_allclose(found.coefficients, law, atol=0.01)
    assert found.facts == {"on": "a law"}
    with pytest.raises(InputError, match="calibration needs 100 poses with known 3D, got 40"):
        quality.fit(columns[20:60], errors[20:60])


def test_fit_is_held_to_what_the_network_expects_of_itself():
    rng = np.random.default_rng(6)
    columns = rng.normal(0, 0.5, size=(4000, len(quality.SIGNALS)))
    own = quality.SIGNALS.index("expected")
    law = np.full(len(quality.SIGNALS), 0.3)
    errors = np.exp(4.0 + columns @ law)
    held = quality.fit(columns, errors, ridge=1.0).coefficients
    # A signal that varies by itself: the mean of the law and what it is held to, weighted by its variance and ridge.
    assert held[own] == pytest.approx((0.25 * 0.3 + 1.0) / 1.25, abs=0.02)
    assert held[quality.SIGNALS.index("disagreement")] == pytest.approx((0.25 * 0.3 + 0.15) / 1.25, abs=0.02)
    assert held[0] == pytest.approx(0.25 * 0.3 / 1.25, abs=0.02)
    firmly = quality.fit(columns, errors)
    np.testing.assert_allclose(
        firmly.coefficients, [quality.HELD_TO.get(name, 0.0) for name in quality.SIGNALS], atol=1e-3
    )
    expected = np.exp(firmly.intercept + columns @ np.array(firmly.coefficients))
    assert expected.mean() == pytest.approx(errors.mean(), rel=1e-6)
    # Published networks expect nothing of themselves.
    columns[:, own] = 0.0
    errors = np.exp(4.0 + columns @ law)
    np.testing.assert_allclose(np.delete(quality.fit(columns, errors).coefficients, own), 0.3, atol=0.01)


def test_fit_expects_the_mean_error_and_widens_it():
    rng = np.random.default_rng(5)
    columns = rng.normal(size=(4000, len(quality.SIGNALS)))
    errors = np.exp(4.0 + columns @ np.full(len(quality.SIGNALS), 0.2) + rng.normal(0, 0.6, len(columns)))
    for widen in (1.0, 1.3):
        found = quality.fit(columns, errors, widen=widen)
        expected = np.exp(found.intercept + columns @ np.array(found.coefficients))
        assert expected.mean() == pytest.approx(widen * errors.mean(), rel=1e-6)


def test_expected_error_is_the_linear_models_exponential():
    rng = np.random.default_rng(4)
    calibration = quality.Calibration(3.0, tuple(rng.normal(0, 0.2, len(quality.SIGNALS)).tolist()))
    values = measured(30, rng)
    expected = np.exp(
        np.clip(3.0 + quality.signals(values).numpy() @ np.array(calibration.coefficients), 0, np.log(300))
    )
    np.testing.assert_allclose(calibration.expected_error_mm(values), expected, rtol=1e-4)
    np.testing.assert_allclose(quality.quality(tf.constant([0.0, 50.0, 100.0])), np.exp([0, -0.5, -1]), rtol=1e-6)


def test_file_round_trip(tmp_path):
    path = tmp_path / "quality.json"
    saved = quality.Calibration(3.25, tuple(np.linspace(-1, 1, len(quality.SIGNALS)).tolist()), {"poses": 7})
    quality.save_calibration(path, saved)
    assert quality.load_calibration(path) == saved
    assert [entry.name for entry in tmp_path.iterdir()] == ["quality.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: {**content, "signals": ["other"]}, "made for the signals other"),
        (lambda content: {**content, "coefficients": [1.0]}, "11 finite numbers"),
        (lambda content: {**content, "intercept": float("nan")}, "11 finite numbers"),
        (lambda content: {**content, "intercept": "much"}, "not a calibration"),
        (lambda content: {"signals": content["signals"]}, "not a calibration"),
        (lambda content: [], "not a calibration"),
    ],
)
def test_bad_files(tmp_path, change, message):
    path = tmp_path / "quality.json"
    quality.save_calibration(path, quality.UNCALIBRATED)
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(InputError, match=message) as error:
        quality.load_calibration(path)
    assert str(path) in str(error.value)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"none\.json: no such file"):
        quality.load_calibration(tmp_path / "none.json")
