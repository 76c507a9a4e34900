"""The engine that ``--runner`` names, and its run of a job."""

from __future__ import annotations

import dataclasses
import importlib.util
import logging
import os
from collections.abc import Sequence

from tools.cli.command import Flags
from tools.cli.errors import InputError
from tools.engines.jobs import Job

LOCAL = "local"
RUNNERS = (LOCAL, "direct", "flink", "spark", "dataflow")
_PACKAGES = {"spark": "pyspark", "flink": "pyflink"}
_INSTALLED_BY = {
    "apache_beam": "pip install 'apache-beam' (extra: beam)",
    "pyspark": "pip install pyspark (extra: spark)",
    "pyflink": "pip install apache-flink (extra: flink)",
}


@dataclasses.dataclass(frozen=True)
class Engine:
    """Where pieces of work run.

    Attributes:
      name: of `RUNNERS` but local.
      workers: processes on this machine for direct, and for Spark and Flink without a cluster; 0: one for each core.
      options: of the engine, ``--name=value`` for Beam's, ``name=value`` for Spark's and Flink's configuration.
    """

    name: str
    workers: int = 0
    options: tuple[str, ...] = ()

    @classmethod
    def of_flags(cls, flags: Flags) -> Engine | None:
        """The engine of the flags that `declare` declares, None for the local path.

        Raises:
          InputError: its package is not installed, or flags without an engine that would read them.
        """
        if flags.runner == LOCAL:
            for name in ("runner_workers", "runner_options"):
                if flags.given(name):
                    raise InputError(f"--{name}: goes with --runner={', '.join(RUNNERS[1:])}")
            return None
        package = _PACKAGES.get(flags.runner, "apache_beam")
        if importlib.util.find_spec(package) is None:
            raise InputError(
                f"--runner={flags.runner}: needs {package}, which is not installed: {_INSTALLED_BY[package]}"
            )
        return cls(flags.runner, flags.runner_workers, tuple(flags.runner_options or ()))

    @property
    def processes(self) -> int:
        """How many processes work on this machine at a time."""
        return self.workers or self.cores

    @property
    def cores(self) -> int:
        """How many cores this machine lends."""
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def configuration(self, defaults: dict[str, str]) -> dict[str, str]:
        """The defaults of Spark's or Flink's configuration with the options in their place; `InputError` of an option
        that is no name=value."""
        settings = dict(defaults)
        for option in self.options:
            name, equals, value = option.lstrip("-").partition("=")
            if not equals:
                raise InputError(
                    f"--runner_options={option}: expected name=value of {self.name.capitalize()}'s configuration"
                )
            settings[name] = value
        return settings

    def run(self, job: Job, pieces: Sequence[int], title: str) -> dict[str, int]:
        """Does the pieces of a job; returns its counters, added up over them.

        Args:
          title: names the run in the engine's own displays.

        Raises:
          InputError: the input of a piece is at fault, a worker was lost for good, or the engine can't be reached; what
            pieces are whole stays, and the same call with those left out goes on.
        """
        if not pieces:
            return {}
        if self.name == "spark":
            from tools.engines import spark

            return spark.run(self, job, pieces, title)
        if self.name == "flink":
            from tools.engines import flink

            return flink.run(self, job, pieces, title)
        logging.disable(logging.WARNING)  # Beam warns of what its optional parts lack
        try:
            from tools.engines import beam
        finally:
            logging.disable(logging.NOTSET)
        return beam.run(self, job, pieces, title)


def declare(flags: Flags, what: str) -> None:
    """The group of flags that choose an engine. what: the work, for the help."""
    with flags.group("Engine"):
        flags.enum(
            "runner",
            LOCAL,
            RUNNERS,
            f"what runs {what}. local: this program's own processes; direct, dataflow: Apache Beam's runner of "
            "that name; spark, flink: Apache Spark and Flink. Results are the same (docs/scale.md)",
        )
        flags.integer(
            "runner_workers",
            0,
            "processes of --runner=direct, and of spark and flink without a cluster; 0: all cores",
            lower_bound=0,
        )
        flags.multi_string(
            "runner_options",
            None,
            "option of the engine, may be given several times: --name=value of Beam's pipeline options, name=value of "
            "Spark's or Flink's configuration",
        )
