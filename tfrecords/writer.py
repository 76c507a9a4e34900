"""From a source of poses to a folder of sharded TFRecords with a manifest.

One folder holds one conversion: one source, one split. A conversion that was killed goes on when the same call is made
again, and ends with the same bytes as one that was not.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from typing import TYPE_CHECKING, Callable

from tfrecords import schema
from tfrecords.source import Source
from tfrecords.storage import manifest, shards, workers
from tfrecords.storage.partial import Partial, check_output, locked
from tools.cli import outputs
from tools.cli.errors import InputError
from tools.cli.progress import Progress
from tools.files import remote

if TYPE_CHECKING:
    from tools.engines.engine import Engine

# Starting a process costs about as much as writing this many records (or pictures) in the one that is there.
_WORTH_A_PROCESS, _PICTURES_WORTH_A_PROCESS = 20_000, 1_000


class EveryRecordSkipped(InputError):
    """No record of a source can be used."""


def convert(
    factory: Callable[[], Source],
    output: str | pathlib.Path,
    *,
    num_shards: int = 0,
    num_workers: int = 0,
    shuffle: bool = False,
    seed: int = 0,
    compressed: bool = False,
    limit: int = 0,
    overwrite: bool = False,
    quiet: bool = False,
    engine: Engine | None = None,
) -> manifest.Manifest:
    """Writes the records of a source into `output` and returns the manifest.

    Args:
      factory: makes the source; picklable (a `functools.partial` of `open_source`), since every process makes its own.
      output: folder; made when needed.
      num_shards: how many files; 0 chooses by the number of records.
      num_workers: how many processes; 0: as many as there are cores, or one where that is not worth it.
      shuffle: spread the records among the shards at random. Within a shard they keep their order.
      seed: of that spreading.
      compressed: write each shard as one gzip stream, named ``.tfrecord.gz``.
      limit: only the first so many records of the source, skipped ones included; 0 for all.
      overwrite: replace what lies in `output`. Other files there are left alone.
      quiet: show no progress.
      engine: what runs the conversion instead of processes of this one; `output` and the input must then be reached by
        all its workers under the same names. The same bytes are written.

    Raises:
      InputError: the source is at fault or empty or every record was skipped; the output holds something that may not
        be replaced, or is being written by another process; the disk is full; a worker process died. What is whole is
        kept, and the same call goes on with it.
    """
    output = remote.place(output)
    source = factory()
    plan = _plan(source, num_shards, shuffle, seed, compressed, limit)
    with locked(output):
        partial = Partial(output, plan, _header(source, plan), overwrite)
        try:
            if engine is not None:
                _write_by_engine(engine, source, factory, partial, plan, output, quiet)
            else:
                _write_missing(source, factory, partial, plan, output, num_workers, quiet)
            results = [partial.results[shard] for shard in range(plan.num_shards)]
            content = _manifest(source, plan, results, limit)
            if not content.records:
                partial.discard()
                reasons = ", ".join(f"{reason} ({entry['count']:,})" for reason, entry in content.skipped.items())
                first = next(iter(content.skipped.values()))["first"][0]
                raise EveryRecordSkipped(f"{source.path}: every record was skipped: {reasons}; the first: {first}")
            partial.finish(content)
        finally:
            partial.remove_temporaries()
            if not partial.results:
                partial.discard()
    content.folder = output
    return content


def preview(
    factory: Callable[[], Source],
    output: str | pathlib.Path,
    *,
    num_shards: int = 0,
    shuffle: bool = False,
    seed: int = 0,
    compressed: bool = False,
    limit: int = 0,
    overwrite: bool = False,
) -> tuple[Source, shards.Plan]:
    """What `convert` would write, with the same arguments and errors as far as they show before a record is read.

    Returns:
      the source, and the plan of its shards; nothing is written.
    """
    output = remote.place(output)
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: can't be used as an output folder: Not a directory")
    if not remote.is_remote(output):
        outputs.check_folder(output)
    source = factory()
    plan = _plan(source, num_shards, shuffle, seed, compressed, limit)
    check_output(output, overwrite)
    return source, plan


def _plan(source: Source, num_shards: int, shuffle: bool, seed: int, compressed: bool, limit: int) -> shards.Plan:
    records = min(len(source), limit or len(source))
    if not records:
        raise InputError(f"{source.path}: source {source.info.name}, split {source.split}: no records")
    count = min(num_shards, records) or shards.default_num_shards(records, _has_pictures(source))
    if count > shards.MOST_SHARDS:
        raise InputError(
            f"{records:,} records in {count:,} shards, at most {shards.MOST_SHARDS:,}: take fewer (--count, --limit) "
            "or give --num_shards"
        )
    return shards.Plan(
        f"{source.info.name}-{source.split}",
        records,
        count,
        shuffle,
        seed,
        compressed,
    )


def _has_pictures(source: Source) -> bool:
    return source.info.images and source.options.images != "none"


def _write_missing(
    source: Source,
    factory: Callable[[], Source],
    partial: Partial,
    plan: shards.Plan,
    output: pathlib.Path,
    num_workers: int,
    quiet: bool,
) -> None:
    missing = partial.missing()
    left = sum(plan.size(shard) for shard in missing)
    if not num_workers:
        worth = left // (_PICTURES_WORTH_A_PROCESS if _has_pictures(source) else _WORTH_A_PROCESS)
        num_workers = max(1, min(_cores(), worth))
    groups = plan.groups(missing, num_workers, _has_pictures(source))
    num_workers = min(num_workers, len(groups))
    already = plan.records - left
    with Progress(plan.records, "records", already, quiet=quiet) as progress:
        for shard, path, result in workers.write_groups(
            factory if num_workers > 1 else lambda: source,
            plan,
            groups,
            partial.folder,
            output,
            num_workers,
            lambda done: progress.update(already + done),
        ):
            partial.add(shard, path, result)
        progress.update(plan.records)


def _write_by_engine(
    engine: Engine,
    source: Source,
    factory: Callable[[], Source],
    partial: Partial,
    plan: shards.Plan,
    output: pathlib.Path,
    quiet: bool,
) -> None:
    from tfrecords.storage.engine_job import ShardJob

    # An engine keeps what is whole by piece.
    groups = plan.groups(partial.missing(), engine.processes, _has_pictures(source), runs_together=False)
    # As the address that was given, or a path that does not depend on the worker's folder.
    place = output if remote.is_remote(output) else output.resolve()
    job = ShardJob(factory, plan, tuple(groups), str(place), partial.folder.name, partial.key)
    try:
        counters = engine.run(job, range(len(groups)), f"Write {plan.name}")
    finally:
        partial.absorb()
    if not quiet:
        print(
            f"{engine.name}: {', '.join(f'{name} {count:,}' for name, count in sorted(counters.items()))}", flush=True
        )
    missing = partial.missing()
    if missing:
        raise InputError(
            f"{output}: shard {missing[0]} and {len(missing) - 1:,} more are not there although the engine has ended; "
            "do all its workers reach this folder under this name?"
        )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _header(source: Source, plan: shards.Plan) -> dict:
    """Everything that decides what the shards hold; two conversions with the same header write the same bytes."""
    files = [(path, path.stat()) for path in source.files()]
    return {
        "source": source.info.name,
        "split": source.split,
        "input": str(source.path.resolve()) if _input(source) else "",
        "options": _options(source),
        "records": len(source),
        "plan": dataclasses.asdict(plan),
        "input files": [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in files],
        "schema": schema.VERSION,
        "version": manifest.project_version(),
    }


def _input(source: Source) -> str:
    """What the user gave as input; '' for sources that have none."""
    return "" if source.path == pathlib.Path() else str(source.path)


def _options(source: Source) -> dict:
    return {**dataclasses.asdict(source.options), "split": source.split}


def _manifest(source: Source, plan: shards.Plan, results: list[dict], limit: int) -> manifest.Manifest:
    info = source.info
    return manifest.Manifest(
        name=plan.name,
        split=source.split,
        source={key: getattr(info, key) for key in ("name", "description", "licence", "citation")},
        input=_input(source),
        options={
            **_options(source),
            "limit": limit,
            "shuffle": plan.shuffle,
            "shuffle_seed": plan.seed,
            "gzip": plan.compressed,
        },
        shards=[
            manifest.Shard(plan.file(shard), result["records"], result["bytes"], result["sha256"])
            for shard, result in enumerate(results)
        ],
        skipped=shards.merge_skipped(results),
    )
