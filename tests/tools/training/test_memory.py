"""Steps that need more memory than there is end in one line, before the kernel ends the process."""

import numpy as np
import pytest
import tensorflow as tf

from tools.cli.errors import InputError
from tools.training import memory


def test_available_memory_is_the_containers_where_that_is_less(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    machine = memory.available_bytes()
    assert machine > 1 << 20
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("7000\n")
    assert memory.available_bytes() > 1 << 20
    (tmp_path / "memory.max").write_text("10000\n")
    assert memory.available_bytes() == 3000


def test_outputs_of_all_layers_are_counted():
    inputs = tf.keras.Input([5, 3])
    inner = tf.keras.Sequential([tf.keras.layers.Dense(7, input_shape=(3,))])
    half = tf.keras.layers.Dense(11, dtype="mixed_float16")(inputs)
    model = tf.keras.Model(inputs, [half, inner(tf.keras.layers.Flatten()(inputs)[:, :3])])
    sizes = {"input": 5 * 3 * 4, "half": 5 * 11 * 2, "flat": 15 * 4, "slice": 3 * 4, "inner": 7 * 4}
    assert memory.output_bytes(model) == sum(sizes.values())


def test_a_batch_beyond_memory_is_refused_with_what_fits(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 2.0**31)
    memory.check_step(2048, 2.0**20)
    with pytest.raises(InputError, match=r"--batch_size=2049: a step needs 2\.0 GiB .* expected 2,048 at most"):
        memory.check_step(2049, 2.0**20)


def test_memory_that_a_device_lacks_is_one_line_and_a_full_disk_is_left_alone():
    text = "OOM when allocating tensor with shape[9,9] on /device:GPU:0 by allocator GPU_0_bfc"
    with (
        pytest.raises(InputError, match=r"--batch_size=64: the memory of /device:GPU:0 .*; a, b"),
        memory.exhausted(64, lambda: "a, b"),
    ):
        raise tf.errors.ResourceExhaustedError(None, None, text)
    with pytest.raises(tf.errors.ResourceExhaustedError), memory.exhausted(64):
        raise tf.errors.ResourceExhaustedError(None, None, "checkpoint-1; No space left on device")


def test_memory_that_can_not_be_had_is_one_line():
    """TensorFlow's own words."""
    with pytest.raises(InputError, match="--batch_size=8: the memory"), memory.exhausted(8):
        tf.zeros([1 << 22, 1 << 22, 1 << 3]) + np.float32(1)
