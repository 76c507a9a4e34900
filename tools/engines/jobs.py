"""What an engine is given: a job that prepares itself once in each worker and then works piece by piece."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pickle
from typing import Any, Protocol

_LIMITS = "POSE3D_INPUT_LIMITS"


@dataclasses.dataclass
class Outcome:
    """What came of one piece.

    Attributes:
      counters: name -> how many; the engine adds them up and shows them as its metrics.
      skipped: (reason, which record) of everything that gave no result, a side output of the pipeline.
    """

    counters: dict[str, int]
    skipped: list[tuple[str, str]] = dataclasses.field(default_factory=list)


class Job(Protocol):
    """Work in numbered pieces. Must be picklable; what a piece gives is written by `process` itself to storage that all
    workers and the calling process reach, whole or not at all, since an engine may run a piece twice."""

    def setup(self) -> Any:
        """Called once in each worker process: opens the input, loads the model. Returns what `process` is given."""

    def process(self, state: Any, piece: int) -> Outcome:
        """Does one piece."""


@dataclasses.dataclass(frozen=True)
class Worker:
    """A job on its way to worker processes, with what they need of the calling process' environment."""

    job: Job
    input_limits: str = ""

    @classmethod
    def of(cls, job: Job) -> Worker:
        """The job with this process' settings."""
        return cls(job, os.environ.get(_LIMITS, ""))

    def setup(self) -> Any:
        """`Job.setup` under those settings."""
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        if self.input_limits:
            os.environ[_LIMITS] = self.input_limits
        return self.job.setup()

    def key(self) -> str:
        """The same text for the same job."""
        return hashlib.sha256(pickle.dumps(self)).hexdigest()
