"""Evaluation divided among the workers of a cluster: each measures its share of the rows, and all get the whole."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Union

import numpy as np
import tensorflow as tf

from tools.training import clusters

# Which rows of a test set: their numbers, or all.
Rows = Union[np.ndarray, slice]
ALL = slice(None)


@dataclasses.dataclass(frozen=True)
class Division:
    """One worker's part in what `count` workers measure together; without arguments it is all of it.

    Attributes:
      index: of this worker. count: of all.
      strategy: by which their results are added up; needed where there are several.
    """

    index: int = 0
    count: int = 1
    strategy: tf.distribute.Strategy | None = None

    @classmethod
    def of(cls, strategy: tf.distribute.Strategy) -> Division:
        """The division among the workers of a strategy whose workers all evaluate, after every epoch.

        Several devices of one process are one worker, and a chief of parameter servers evaluates by itself.
        """
        resolver = strategy.cluster_resolver
        workers = clusters.workers()
        if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) or resolver is None or len(workers) < 2:
            return cls()
        behind_chief = resolver.task_type != "chief" and bool(clusters.addresses("chief"))
        return cls(int(resolver.task_id) + behind_chief, len(workers), strategy)

    def rows(self, total: int, block: int) -> np.ndarray:
        """The numbers of this worker's rows of `total`: every `count`-th block."""
        numbers = np.arange(total)
        return numbers[numbers // block % self.count == self.index]

    def measured(
        self, measure: Callable[[Rows], dict[str, np.ndarray]], total: int, block: int
    ) -> dict[str, np.ndarray]:
        """What `measure` says of all rows, arrays [total, ...] by name, each worker having measured its own.

        The blocks are those in which one worker alone would measure, so the values are the same. All workers must call
        it together.

        Args:
          measure: rows -> arrays [n, ...] by name; each row's values depend on that row only.
          block: how many rows are measured at once. Where there are fewer blocks than workers, each measures all.
        """
        if self.count == 1 or total <= block * (self.count - 1):
            return measure(ALL)
        own = self.rows(total, block)
        return {name: self._added(values, own, total) for name, values in measure(own).items()}

    def _added(self, values: np.ndarray, rows: np.ndarray, total: int) -> np.ndarray:
        """Rows of all workers, [total, ...]: the sum of arrays that are zero in others' rows."""
        strategy = self.strategy
        assert strategy is not None, "several workers need a strategy"
        sent = values if values.dtype.kind == "f" else values.astype(np.int32)
        whole = np.zeros((total, *values.shape[1:]), sent.dtype)
        whole[rows] = sent
        replicas = strategy.num_replicas_in_sync // self.count

        def of_replica(context: Any) -> tf.Tensor:
            is_first = context.replica_id_in_sync_group % replicas == 0
            return tf.constant(whole if is_first else np.zeros_like(whole))

        parts = strategy.experimental_distribute_values_from_function(of_replica)
        summed: np.ndarray = strategy.reduce(tf.distribute.ReduceOp.SUM, parts, axis=None).numpy()
        return summed.astype(values.dtype)
