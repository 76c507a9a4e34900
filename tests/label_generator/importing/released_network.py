"""The released network in TensorFlow 1, written from its published description alone, trained a little and saved."""

import contextlib
import dataclasses
import itertools
import logging
import warnings

import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1
SIZES = {"left2right": (34, 34), "pose3d": (68, 51)}


@dataclasses.dataclass
class Released:
    """A saved checkpoint, input rows, the released network's answers by (residual, max_norm), variables by name."""

    prefix: str
    rows: np.ndarray
    answers: dict
    variables: dict


@contextlib.contextmanager
def _quiet():
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what TensorFlow 2 calls deprecated
        yield
    logger.setLevel(level)


def _initial(shape):
    return tf1.truncated_normal(shape, stddev=1.0) * np.sqrt(2.0 / shape[0])


def _linear(x, weight, bias, units, max_norm):
    w = tf1.get_variable(weight, initializer=_initial([int(x.shape[1]), units]))
    b = tf1.get_variable(bias, initializer=_initial([units]))
    return tf.matmul(x, tf.where(max_norm, tf1.clip_by_norm(w, 1), w)) + b


def _activated(x, norm, batch_norm, training, keep):
    if batch_norm:
        # Momentum 0.99 and epsilon 1e-3 are TensorFlow 1's own defaults.
        x = tf1.layers.batch_normalization(x, training=training, name=norm)
    return tf1.nn.dropout(tf.nn.relu(x), rate=1 - keep)


def _network(x, outputs, width, num_layers, batch_norm, residual, max_norm, training, keep):
    with tf1.variable_scope("linear_model"):
        y = _linear(x, "w1", "b1", width, max_norm)
        y = _activated(y, "batch_normalization", batch_norm, training, keep)
        for i in range(num_layers):
            with tf1.variable_scope(f"two_linear_{i}"):
                z = y
                for k in (2, 3):
                    z = _linear(z, f"w{k}_{i}", f"b{k}_{i}", width, max_norm)
                    z = _activated(z, f"batch_normalization{k - 1}{i}", batch_norm, training, keep)
                y = tf.where(residual, z + y, z)
        return _linear(y, "w4", "b4", outputs, max_norm)


def save(
    prefix,
    stage="left2right",
    *,
    width=16,
    num_layers=2,
    batch_norm=True,
    trained=(True, True),
    dropout=0.5,
    steps=3,
    data=None,
    batch=32,
    learning_rate=1e-3,
    v1_format=False,
):
    """Trains the network of `trained` (residual, max_norm) a little and saves it.

    data: (rows in, rows out) to train on and to answer, else noise.

    Returns `Released`. Its answers are by (residual, max_norm): those flags change no variable, so one checkpoint may
    be of any of the four networks.
    """
    inputs, outputs = SIZES[stage]
    rng = np.random.default_rng(5)
    if data is None:
        data = rng.normal(0.3, 2, [steps * batch, inputs]), rng.normal(size=[steps * batch, outputs])
    config = tf1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    with _quiet(), tf.Graph().as_default() as graph, tf1.Session(graph=graph, config=config) as session:
        tf1.set_random_seed(3)
        x, truth = (tf1.placeholder(tf.float32, [None, size]) for size in (inputs, outputs))
        step = tf1.Variable(0, trainable=False, name="global_step")
        rate = tf1.Variable(float(learning_rate), trainable=False, dtype=tf.float32, name="learning_rate")

        residual, max_norm, training = (tf1.placeholder(tf.bool, []) for _ in range(3))
        keep = tf1.placeholder(tf.float32, [])
        answer = _network(x, outputs, width, num_layers, batch_norm, residual, max_norm, training, keep)
        loss = tf.reduce_mean(tf.square(answer - truth))
        decayed = tf1.train.exponential_decay(rate, step, 100000, 0.96)
        with tf1.control_dependencies(tf1.get_collection(tf1.GraphKeys.UPDATE_OPS)):
            train = tf1.train.AdamOptimizer(decayed).minimize(loss, global_step=step)
        session.run(tf1.global_variables_initializer())
        for i in range(steps):
            chosen = np.arange(i * batch, (i + 1) * batch) % len(data[0])
            batch_fed = {x: data[0][chosen], truth: data[1][chosen], training: True, keep: dropout}
            session.run(train, {**batch_fed, residual: trained[0], max_norm: trained[1]})
        version = tf1.train.SaverDef.V1 if v1_format else tf1.train.SaverDef.V2
        saved = tf1.train.Saver(write_version=version).save(session, str(prefix), global_step=step)
        rows = np.float32(data[0][:32])
        answers = {
            choice: session.run(answer, {x: rows, residual: choice[0], max_norm: choice[1], training: False, keep: 1.0})
            for choice in itertools.product((False, True), repeat=2)
        }
        values = session.run({variable.op.name: variable for variable in tf1.global_variables()})
    return Released(saved, rows, answers, values)
