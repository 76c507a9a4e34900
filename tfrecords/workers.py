"""Processes that write shards side by side, watched so that none dies unnoticed."""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import signal
import traceback
from collections.abc import Iterator, Sequence
from multiprocessing import connection
from typing import Callable

from tfrecords import shards
from tfrecords.sources.base import Source
from tools.errors import InputError

_LOOK_EVERY_SECONDS = 0.2


class _ParentDied(Exception):
    pass


def write_shards(
    factory: Callable[[], Source],
    plan: shards.Plan,
    numbers: Sequence[int],
    folder: pathlib.Path,
    final: pathlib.Path,
    workers: int,
    progress: Callable[[int], None],
) -> Iterator[tuple[int, pathlib.Path, dict]]:
    """Writes shards into `folder` under temporary names and yields (shard, temporary path, result) as each is whole.

    Args:
      factory: makes the source; called once in each process, so it must be picklable when there are several.
      numbers: which shards.
      final: the folder the files will go to, for messages.
      workers: how many processes; with one, the work is done in this one.
      progress: called with the number of records done, of those shards.

    Raises:
      InputError: as `shards.write_shard`; or a process died.
    """
    if workers <= 1:
        yield from _write_here(factory(), plan, numbers, folder, final, progress)
        return
    context = multiprocessing.get_context("spawn")
    # One cell a shard, written by one process only: a process that is killed can't leave a lock behind.
    done = context.RawArray("q", plan.num_shards)
    waiting, running = list(reversed(numbers)), {}
    try:
        for _ in range(min(workers, len(numbers))):
            ours, theirs = context.Pipe()
            arguments = (theirs, factory, plan, folder, final, done, os.getpid())
            process = context.Process(target=_work, args=arguments, daemon=True)
            process.start()
            theirs.close()
            running[ours] = process
            ours.send(waiting.pop())
        while running:
            for pipe in connection.wait(list(running), timeout=_LOOK_EVERY_SECONDS):
                shard, path, result, error = _receive(pipe, running[pipe])
                if error is not None:
                    raise error
                # The next task goes out before the result is dealt with, so that the process need not wait.
                if waiting:
                    pipe.send(waiting.pop())
                else:
                    process = running.pop(pipe)
                    pipe.close()  # which ends the process
                    process.join()
                yield shard, path, result
            progress(sum(done))
    finally:
        for process in running.values():
            process.kill()
        for pipe, process in running.items():
            process.join()
            pipe.close()


def _receive(pipe, process):
    try:
        return pipe.recv()
    except (EOFError, ConnectionError):
        process.join()
        code = process.exitcode
        how = f"by signal {signal.Signals(-code).name}" if code and code < 0 else f"with status {code}"
        raise InputError(
            f"a worker process was ended {how} (out of memory?); the same command goes on with the shards that are whole"
        ) from None


def _write_here(source, plan, numbers, folder, final, progress):
    finished = 0
    for shard in numbers:
        path = _temporary(folder, plan, shard)
        before = finished
        result = shards.write_shard(
            source,
            plan,
            shard,
            path,
            str(final / plan.file(shard)),
            lambda done, before=before: progress(before + done),
        )
        finished += plan.size(shard)
        yield shard, path, result


def _temporary(folder, plan, shard):
    # The process id: what a process left over from a killed conversion still writes is nobody else's file.
    return folder / f"{plan.file(shard)}.{os.getpid()}.tmp"


def _work(pipe, factory, plan, folder, final, done, parent):
    # Ctrl-C reaches every process of the terminal; the parent alone answers it, and ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source = None
    while True:
        try:
            shard = pipe.recv()
        except (EOFError, ConnectionError):
            return

        def report(count, shard=shard):
            done[shard] = count
            if os.getppid() != parent:
                raise _ParentDied

        path = _temporary(folder, plan, shard)
        try:
            source = source or factory()
            result = shards.write_shard(source, plan, shard, path, str(final / plan.file(shard)), report)
            answer = shard, path, result, None
        except _ParentDied:
            return
        except (InputError, OSError) as error:
            answer = shard, path, None, error
        except Exception:
            answer = shard, path, None, RuntimeError(f"in a worker process:\n{traceback.format_exc()}")
        try:
            pipe.send(answer)
        except (BrokenPipeError, ConnectionError):
            path.unlink(missing_ok=True)
            return
