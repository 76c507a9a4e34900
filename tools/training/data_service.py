"""The input pipeline of a training on other machines, through tf.data's service; batches in the order of one machine.

Each of W workers of the service makes every W-th batch of the stream (`Mine` stands before what is expensive), in a job
of its own, and the client takes a batch of each in turn. The numbers of their steps travel with them and are checked.
"""

from __future__ import annotations

import dataclasses
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tools.cli.errors import InputError

_ADDRESS = re.compile(r"grpc://[^/\s]+:\d+")
# A worker that is deleted waits for its next heartbeat, which TensorFlow sends every 30 s.
_HEARTBEAT_MS = 1000
# A function that leaves of a stream of batches, before they are made, what one worker of the service makes.
Mine = Callable[[tf.data.Dataset], tf.data.Dataset]


def everything(batches: tf.data.Dataset) -> tf.data.Dataset:
    """The `Mine` of a pipeline without a service."""
    return batches


def _every_w_th(batches: tf.data.Dataset) -> tf.data.Dataset:
    hint = tf.data.experimental.SHARD_HINT  # the service puts its number of workers and the worker's own here
    return batches.shard(hint, hint)


@dataclasses.dataclass(frozen=True)
class DataService:
    """A service that runs already.

    Attributes:
      address: of its dispatcher, 'grpc://host:port'.
      workers: how many it has, as its dispatcher was told.
      wait_seconds: how long workers that have not registered yet are waited for.
    """

    address: str
    workers: int
    wait_seconds: float = 600.0

    @classmethod
    def of_flags(cls, address: str, workers: int) -> DataService | None:
        """The service of the flags, None without an address; raises `InputError` when the address is none."""
        if not address:
            return None
        if not _ADDRESS.fullmatch(address):
            raise InputError(f"--data_service={address}: expected grpc://HOST:PORT, of the service's dispatcher")
        return cls(address, workers)

    def read(self, make: Callable[[Mine], tf.data.Dataset], start_step: int) -> tf.data.Dataset:
        """The stream that `make` makes, its elements made by the service's workers, in the order of one machine.

        Args:
          make: gets a function to be applied to the stream before its expensive steps, and returns an endless data set
            of dicts. It runs on the service's workers, which must reach the records under the same names.
          start_step: number of its first element.

        Raises:
          InputError: the dispatcher does not answer, or there are not so many workers.
          tf.errors.InvalidArgumentError: while iterating: a worker has begun anew, or there are others than announced.
        """
        self.wait_for_workers()
        streams = [self._of_worker(number, make, start_step) for number in range(self.workers)]
        whose = tf.data.Dataset.range(self.workers).repeat()
        batches = tf.data.Dataset.choose_from_datasets(streams, whose, stop_on_empty_dataset=True)

        def checked(expected: tf.Tensor, element: Any) -> Any:
            step, batch = element
            changed = "workers of the data service have changed"
            with tf.control_dependencies([tf.debugging.assert_equal(step, expected, changed)]):
                return tf.nest.map_structure(tf.identity, batch)

        numbers = tf.data.Dataset.range(start_step, tf.int64.max)
        return tf.data.Dataset.zip((numbers, batches)).map(checked).prefetch(tf.data.AUTOTUNE)

    def _of_worker(self, number: int, make: Callable[[Mine], tf.data.Dataset], start_step: int) -> tf.data.Dataset:
        """(step, batch) of every W-th batch, made by one worker: to the others this job is an empty data set."""
        data = tf.data.experimental.service

        def mine(batches: tf.data.Dataset) -> tf.data.Dataset:
            return batches.shard(self.workers, number)

        def stream(_: tf.Tensor) -> tf.data.Dataset:
            return tf.data.Dataset.zip((mine(tf.data.Dataset.range(start_step, tf.int64.max)), make(mine)))

        own = _every_w_th(tf.data.Dataset.range(self.workers)).filter(lambda worker: worker == number)
        return own.flat_map(stream).apply(
            data.distribute(
                processing_mode=data.ShardingPolicy.HINT,
                service=self.address,
                # A name of its own: a training that goes on asks for another part of the stream.
                job_name=uuid.uuid4().hex,
            )
        )

    def _turns(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """One element of each worker, stacked."""
        data = tf.data.experimental.service
        endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
        read = data.distribute(
            processing_mode=data.ShardingPolicy.HINT,
            service=self.address,
            job_name=uuid.uuid4().hex,
            consumer_index=0,
            num_consumers=1,
        )
        return batches.apply(endless).apply(read).batch(self.workers, drop_remainder=True)

    def wait_for_workers(self) -> None:
        """Returns once all workers are there; one that registers later would begin in the middle of a stream.

        Raises:
          InputError: as `read`.
        """
        end, there = time.monotonic() + self.wait_seconds, False
        while not there:
            try:
                counted = _every_w_th(tf.data.Dataset.range(tf.int64.max)).enumerate().map(lambda number, _: number)
                # The first element of each worker, if there are so many.
                there = not next(iter(self._turns(counted))).numpy().any()
            except tf.errors.OpError as error:
                reason = " ".join(str(error).split())[:200]
                raise InputError(f"--data_service={self.address}: cannot be read ({reason})") from error
            if not there and time.monotonic() > end:
                raise InputError(
                    f"--data_service={self.address}: has not {self.workers} workers, which --data_service_workers says"
                )
            time.sleep(0 if there else 1.0)


def serve_dispatcher(port: int, workers: list[str]) -> Any:
    """A dispatcher that deals to exactly these workers, 'host:port' each; it serves until it is deleted."""
    data = tf.data.experimental.service
    return data.DispatchServer(data.DispatcherConfig(port=port, worker_addresses=workers))


def serve_worker(dispatcher: str, address: str) -> Any:
    """A worker at its 'host:port' of the dispatcher at 'host:port'; it serves until it is deleted."""
    data = tf.data.experimental.service
    port = int(address.rpartition(":")[2])
    config = data.WorkerConfig(
        dispatcher.rpartition("//")[2], worker_address=address, port=port, heartbeat_interval_ms=_HEARTBEAT_MS
    )
    return data.WorkerServer(config)
