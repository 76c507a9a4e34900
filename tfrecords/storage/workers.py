"""Processes that write shards side by side, watched so that none dies unnoticed."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import pathlib
import signal
import traceback
from collections.abc import Iterator, Sequence
from multiprocessing import connection
from typing import Callable

from tfrecords.source import Source
from tfrecords.storage import shards
from tools.cli.errors import InputError

_LOOK_EVERY_SECONDS = 0.2


class _ParentDied(Exception):
    pass


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
    task = _Task(plan, folder, final)
    if workers <= 1:
        yield from _write_here(factory(), task, groups, progress)
        return
    context = multiprocessing.get_context("spawn")
    # One cell a group, written by one process only: a process that is killed can't leave a lock behind.
    done = context.RawArray("q", len(groups))
    waiting, running = list(reversed(list(enumerate(groups)))), {}
    try:
        for _ in range(min(workers, len(groups))):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, factory, task, done, os.getpid()), daemon=True)
            process.start()
            theirs.close()
            running[ours] = process
            ours.send(waiting.pop())
        while running:
            for pipe in connection.wait(list(running), timeout=_LOOK_EVERY_SECONDS):
                written, error = _receive(pipe, running[pipe])
                if error is not None:
                    raise error
                # The next group goes out before the result is dealt with, so that the process need not wait.
                if waiting:
                    pipe.send(waiting.pop())
                else:
                    process = running.pop(pipe)
                    pipe.close()  # which ends the process
                    process.join()
                yield from written
            progress(sum(done))
    finally:
        for process in running.values():
            process.kill()
        for pipe, process in running.items():
            process.join()
            pipe.close()


@dataclasses.dataclass(frozen=True)
class _Task:
    plan: shards.Plan
    folder: pathlib.Path
    final: pathlib.Path

    def paths(self, group):
        # The process id: what a process left over from a killed conversion still writes is nobody else's file.
        return [self.folder / f"{self.plan.file(shard)}.{os.getpid()}.tmp" for shard in group]

    def write(self, source, group, report) -> list[Written]:
        paths = self.paths(group)
        shown_as = [str(self.final / self.plan.file(shard)) for shard in group]
        return list(zip(group, paths, shards.write_group(source, self.plan, group, paths, shown_as, report)))


def _receive(pipe, process):
    try:
        return pipe.recv()
    except (EOFError, ConnectionError):
        process.join()
        code = process.exitcode
        how = f"by signal {signal.Signals(-code).name}" if code and code < 0 else f"with status {code}"
        raise InputError(
            f"a worker process was ended {how} (out of memory?); the same command goes on with "
            "the shards that are whole"
        ) from None


def _write_here(source, task, groups, progress):
    finished = 0
    for group in groups:
        yield from task.write(source, group, lambda done, before=finished: progress(before + done))
        finished += sum(map(task.plan.size, group))


def _work(pipe, factory, task, done, parent):
    # Ctrl-C reaches every process of the terminal; the parent alone answers it, and ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source = None
    while True:
        try:
            number, group = pipe.recv()
        except (EOFError, ConnectionError):
            return

        def report(count, number=number):
            done[number] = count
            if os.getppid() != parent:
                raise _ParentDied

        try:
            source = source or factory()
            answer = task.write(source, group, report), None
        except _ParentDied:
            return
        except (InputError, OSError) as error:
            answer = None, error
        except Exception:
            answer = None, RuntimeError(f"in a worker process:\n{traceback.format_exc()}")
        try:
            pipe.send(answer)
        except (BrokenPipeError, ConnectionError):
            for path in task.paths(group):
                path.unlink(missing_ok=True)
            return
