"""Shards written by several processes side by side: a `ProcessPoolExecutor` whose workers end with their parent."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import multiprocessing
import multiprocessing.process
import os
import pathlib
import signal
import threading
import time
import traceback
from collections.abc import Iterator, MutableSequence, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Callable

from tfrecords.source import Source
from tfrecords.storage import shards
from tools.cli.errors import InputError

_PROGRESS_EVERY_SECONDS = 0.2

Written = tuple[int, pathlib.Path, dict]


def write_groups(
    factory: Callable[[], Source],
    plan: shards.Plan,
    groups: Sequence[tuple[int, ...]],
    folder: pathlib.Path,
    final: pathlib.Path,
    workers: int,
    progress: Callable[[int], None],
) -> Iterator[Written]:
    """Writes shards into `folder` under temporary names and yields (shard, temporary path, result) as each is whole.

    Args:
      factory: makes the source; called once in each process, so it must be picklable when there are several.
      groups: which shards, as `Plan.groups` gives them.
      final: the folder the files will go to, for messages.
      workers: how many processes; with one, the work is done in this one.
      progress: called with the number of records done, of those shards.

    Raises:
      InputError: as `shards.write_group`; or a process died.
    """
    job = _Job(factory, plan, folder, final)
    if workers <= 1:
        yield from _write_here(job, groups, progress)
        return
    context = multiprocessing.get_context("spawn")
    # One cell for each group, written by one process only: a process that is killed can't leave a lock behind.
    done = context.RawArray("q", len(groups))
    others = set(multiprocessing.active_children())
    pool = concurrent.futures.ProcessPoolExecutor(min(workers, len(groups)), context, _begin, (job, done))
    processes: set[multiprocessing.process.BaseProcess] = set()
    pending: set[concurrent.futures.Future] = set()
    try:
        pending = {pool.submit(_write_in_worker, number, group) for number, group in enumerate(groups)}
        while pending:
            processes |= set(multiprocessing.active_children()) - others
            finished, pending = concurrent.futures.wait(
                pending, _PROGRESS_EVERY_SECONDS, concurrent.futures.FIRST_COMPLETED
            )
            # Results before errors: what is whole is kept.
            errors: list[Exception] = []
            for future in sorted(finished, key=lambda future: future.exception() is not None):
                written, error = future.result()
                yield from written
                if error is not None:
                    errors.append(error)
            if errors:
                raise errors[0]
            progress(sum(done))
    except BrokenProcessPool:
        raise InputError(
            f"a worker process was ended {_how_ended(processes)} (out of memory?); the same command goes on with "
            "the shards that are whole"
        ) from None
    finally:
        if pending:
            for process in processes | (set(multiprocessing.active_children()) - others):
                process.kill()
        pool.shutdown(cancel_futures=True)


def _how_ended(processes: set[multiprocessing.process.BaseProcess]) -> str:
    """In words, how the worker ended that broke the pool, which ends the others by SIGTERM."""
    for process in processes:
        process.join()
        # The pool's thread may be the one that waits for it: its exit code is there a moment later.
        for _ in range(100):
            if process.exitcode is not None:
                break
            time.sleep(0.01)
    codes = sorted({process.exitcode or 0 for process in processes}, key=lambda code: code in (0, -signal.SIGTERM))
    code = codes[0] if codes else 0
    return f"by signal {signal.Signals(-code).name}" if code < 0 else f"with status {code}"


@dataclasses.dataclass(frozen=True)
class _Job:
    factory: Callable[[], Source]
    plan: shards.Plan
    folder: pathlib.Path
    final: pathlib.Path

    def write(self, source: Source, group: tuple[int, ...], report: Callable[[int], None]) -> Iterator[Written]:
        """Yields each shard of the group once it is whole."""
        # The process id: a process left over from a killed conversion writes to a file of its own.
        paths = [self.folder / f"{self.plan.file(shard)}.{os.getpid()}.tmp" for shard in group]
        shown_as = [str(self.final / self.plan.file(shard)) for shard in group]
        for place, result in shards.write_group(source, self.plan, group, paths, shown_as, report):
            yield group[place], paths[place], result


def _write_here(job: _Job, groups: Sequence[tuple[int, ...]], progress: Callable[[int], None]) -> Iterator[Written]:
    source, finished = job.factory(), 0
    for group in groups:
        before = finished
        yield from job.write(source, group, lambda done, before=before: progress(before + done))  # type: ignore[misc]
        finished += sum(map(job.plan.size, group))


class _Worker:
    """What a worker process works with, set once by `_begin`. The source is opened by the first task, since an error
    of the initializer would not reach the user."""

    job: _Job
    done: MutableSequence[int]
    source: Source | None = None


def _begin(job: _Job, done: MutableSequence[int]) -> None:
    # Ctrl-C reaches every process of the terminal; the parent alone answers it, and ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _Worker.job, _Worker.done = job, done
    # The workers of a parent that was killed would wait for tasks for ever.
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _write_in_worker(number: int, group: tuple[int, ...]) -> tuple[list[Written], Exception | None]:
    """The shards of the group that are whole, and what kept the others from it."""

    def report(count: int) -> None:
        _Worker.done[number] = count

    written: list[Written] = []
    try:
        if _Worker.source is None:
            _Worker.source = _Worker.job.factory()
        written.extend(_Worker.job.write(_Worker.source, group, report))
    except (InputError, OSError) as error:
        return written, error
    except Exception:
        # Not the exception itself: it may not be picklable, and would lose the worker's traceback.
        raise RuntimeError(f"in a worker process:\n{traceback.format_exc()}") from None
    return written, None
