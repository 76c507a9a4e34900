"""Mixed precision: which half the devices take, and that nobody else's layers get it."""

import pytest
import tensorflow as tf

from tools.training import precision


def test_gpus_take_float16_and_cpus_bfloat16(monkeypatch):
    assert precision.policy_name(False) == "float32"
    for gpus, name in (([], "mixed_bfloat16"), (["/GPU:0"], "mixed_float16")):
        monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind, gpus=gpus: gpus)
        assert precision.policy_name(True) == name


def test_the_policy_ends_with_the_block_whatever_happens():
    before = tf.keras.mixed_precision.global_policy().name
    with pytest.raises(ZeroDivisionError), precision.policy("mixed_bfloat16"):  # noqa: PT012
        assert tf.keras.layers.Dense(2).compute_dtype == "bfloat16"
        raise ZeroDivisionError
    assert tf.keras.mixed_precision.global_policy().name == before
