"""Normalisation over replicas against one device that sees the whole batch."""

import subprocess
import sys

import pytest

_SCRIPT = """
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from baseline_network.network.batch_norm import SynchronizedBatchNorm

rng = np.random.default_rng(0)
x = rng.normal(1, 3, [8, 5, 4, 6]).astype(np.float32)
weights = rng.normal(size=[8, 5, 4, 6]).astype(np.float32)

def plain(value):
    return tf.cast(value, tf.float32).numpy()

def passed(layer, values, factors):
    with tf.GradientTape() as tape:
        tape.watch(values)
        normed = layer(values, training=True)
        # Something in which every sample's gradient depends on the whole batch.
        loss = tf.reduce_sum(tf.cast(normed, tf.float32) ** 3 * factors)
    return normed, *tape.gradient(loss, [values, layer.gamma, layer.beta])

policy = {policy!r}
alone = tf.keras.layers.BatchNormalization(momentum=0.9, dtype=policy)
alone.build([None, 5, 4, 6])
expected = [plain(v) for v in tf.function(passed)(alone, tf.constant(x), tf.constant(weights))]

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice())
with strategy.scope():
    layer = SynchronizedBatchNorm(momentum=0.9, dtype=policy)
    layer.build([None, 5, 4, 6])
halves = strategy.experimental_distribute_values_from_function(
    lambda context: tf.constant(x[4 * context.replica_id_in_sync_group :][:4]))
factors = strategy.experimental_distribute_values_from_function(
    lambda context: tf.constant(weights[4 * context.replica_id_in_sync_group :][:4]))
got = tf.function(lambda: strategy.run(passed, (layer, halves, factors)))()
got = [strategy.experimental_local_results(v) for v in got]
for name, parts, whole in zip(("output", "gradient"), got[:2], expected[:2]):
    np.testing.assert_allclose(np.concatenate([plain(p) for p in parts]), whole, rtol=5e-4, atol={atol}, err_msg=name)
for name, parts, whole in zip(("gamma", "beta"), got[2:], expected[2:]):
    np.testing.assert_allclose(sum(map(plain, parts)), whole, rtol=1e-3, atol={atol}, err_msg=name)
for one, other in zip(layer.non_trainable_variables, alone.non_trainable_variables):
    # Keras' fused layer keeps the unbiased variance of n - 1, as PyTorch's; over replicas it is that of n.
    np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=2e-2, atol=1e-3)
print("equal")
"""


@pytest.mark.parametrize(("policy", "atol"), [("float32", 2e-4), ("mixed_bfloat16", 0.3)])
def test_two_replicas_normalise_as_one(policy, atol, repository):
    script = _SCRIPT.replace("{policy!r}", repr(policy)).replace("{atol}", str(atol))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=repository, check=False)
    assert done.stdout.strip() == "equal", done.stderr[-2000:]
