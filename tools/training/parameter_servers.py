"""Training with parameter servers: the chief runs the program, workers compute steps, servers hold the weights.

Steps are asynchronous: with several workers a gradient may be of weights that others have moved on since, so weights
differ from run to run; with one worker the steps are those of one device. Batches are dealt out by tf.data's service,
whose dispatcher and worker are parts of the chief: each global batch of the stream goes to one worker, the next one
that asks. A worker that is ended is waited for, and the batches that it had fetched are lost to the stream; where it is
the only one, the epoch is begun anew from the state in which it began (`EpochStart`), so that weights stay those of
one device. A chief that is started again goes on from its last checkpoint.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tools.cli.errors import InputError
from tools.training import checkpoints, clusters

# A worker or server ends when no chief was there for so long, after one was.
_WITHOUT_CHIEF_SECONDS = float(os.environ.get("POSE3D_WITHOUT_CHIEF_SECONDS", "120"))
_ASKED_EVERY_SECONDS = 2.0
# A worker that runs a step answers nothing else with fewer threads, while the step waits for answers.
_FEWEST_THREADS = 4
# Of the chief's data service, which must live as long as the training.
_kept: list[Any] = []


def is_one(strategy: tf.distribute.Strategy) -> bool:
    """Whether a strategy is of this kind."""
    return isinstance(strategy, tf.distribute.ParameterServerStrategy)


def make_strategy() -> tf.distribute.Strategy:
    """The chief's strategy. In a worker or server this serves, and ends the process once the chief has ended.

    Raises:
      InputError: TF_CONFIG names no chief, worker, parameter server, or not this task.
    """
    kind, number = clusters.task()
    for job in ("chief", "worker", "ps"):
        if not clusters.addresses(job):
            raise InputError(
                f"--strategy=parameter_server: TF_CONFIG names no {job}; one chief, workers and ps are needed"
            )
    if kind not in ("chief", "worker", "ps") or number >= len(clusters.addresses(kind)):
        raise InputError(f"--strategy=parameter_server: TF_CONFIG's task {kind!r} {number} is not in its cluster")
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    # Stated, since TF_NUM_INTEROP_THREADS counts otherwise.
    threads = max(tf.config.threading.get_inter_op_parallelism_threads() or os.cpu_count() or 1, _FEWEST_THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    if kind != "chief":
        _serve(resolver, kind, number)
    return tf.distribute.ParameterServerStrategy(resolver)


def _serve(resolver: Any, kind: str, number: int) -> None:
    server = tf.distribute.Server(
        resolver.cluster_spec(),
        job_name=kind,
        task_index=number,
        protocol="grpc",
        config=tf.compat.v1.ConfigProto(
            inter_op_parallelism_threads=tf.config.threading.get_inter_op_parallelism_threads(),
            intra_op_parallelism_threads=tf.config.threading.get_intra_op_parallelism_threads(),
        ),
        start=True,
    )
    print(f"{kind} {number} serves at {clusters.addresses(kind)[number]}", flush=True)
    chief, last = clusters.addresses("chief")[0], 0.0
    while not last or time.monotonic() - last < _WITHOUT_CHIEF_SECONDS:
        if _answers(chief):
            last = time.monotonic()
        time.sleep(_ASKED_EVERY_SECONDS)
    print("the chief has ended", flush=True)
    del server
    sys.stdout.flush()
    os._exit(0)  # TensorFlow's server has no end of its own


class WorkerLost(Exception):
    """The only worker of a cluster was lost, and is back; `epoch`: the one, from 0, that has to be begun anew."""

    def __init__(self, epoch: int):
        super().__init__(f"epoch {epoch + 1}: the worker was lost")
        self.epoch = epoch


class EpochStart(tf.keras.callbacks.Callback):
    """Keeps the state in which an epoch began, and ends the epoch by `WorkerLost` when the worker was lost in it.

    Must stand before callbacks that save or evaluate. The state is held in the chief's memory.
    """

    def __init__(self, strategy: tf.distribute.Strategy, model: tf.keras.Model):
        """model: a compiled one, built in the strategy's scope."""
        super().__init__()
        with strategy.scope():
            checkpoints.make_slots(model)
        slots = model.optimizer.variables
        self._variables = [*model.variables, *(slots() if callable(slots) else slots)]
        self._values: list[Any] = []
        self._failures = _worker_failures()

    @classmethod
    def of(cls, strategy: tf.distribute.Strategy, model: tf.keras.Model) -> EpochStart | None:
        """The callback where it makes a difference: steps of several workers come in no order anyway."""
        return cls(strategy, model) if is_one(strategy) and len(clusters.workers()) == 1 else None

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Keras' hook."""
        self._values = [variable.numpy() for variable in self._variables]

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Keras' hook."""
        if _worker_failures() != self._failures:
            raise WorkerLost(epoch)

    def restore(self) -> None:
        """Puts the state back in which the last epoch began."""
        for variable, value in zip(self._variables, self._values):
            variable.assign(value)
        self._failures = _worker_failures()


def _worker_failures() -> int:
    """How many losses of workers the chief has noticed."""
    # Nothing public says it: the coordinator mends what it can in silence.
    from tensorflow.python.distribute.coordinator import metric_utils

    try:
        return int(metric_utils.get_metric_summary("worker_failures"))
    except KeyError:  # nothing was measured yet
        return 0


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1.0):
            return True
    except OSError:
        return False


def deal_out(strategy: tf.distribute.Strategy, make_batches: Callable[[], tf.data.Dataset]) -> Any:
    """What `fit` takes: every worker's stream of global batches, each batch of which goes to one worker."""
    data = tf.data.experimental.service
    dispatcher = data.DispatchServer(data.DispatcherConfig(port=0))
    port = dispatcher.target.rpartition(":")[2]
    host = clusters.addresses("chief")[0].rpartition(":")[0]
    worker = data.WorkerServer(data.WorkerConfig(dispatcher_address=f"{host}:{port}", worker_address=f"{host}:%port%"))
    _kept[:] = [dispatcher, worker]
    batches = make_batches()
    identity = data.register_dataset(f"grpc://{host}:{port}", batches)
    identity, spec = identity.numpy().decode(), batches.element_spec

    def for_worker(_: tf.distribute.InputContext) -> tf.data.Dataset:
        return data.from_dataset_id(
            processing_mode=data.ShardingPolicy.OFF,
            service=f"grpc://{host}:{port}",
            dataset_id=identity,
            element_spec=spec,
            job_name="training",
        ).prefetch(2)

    return tf.keras.utils.experimental.DatasetCreator(for_worker)
