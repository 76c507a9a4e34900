"""Convert a data set into sharded TFRecords with a manifest.

    python tools/make_tfrecords.py --source=list                                              sources and inputs
    python tools/make_tfrecords.py --source=h36m --input=h36m/ --split=train --output=data/train
    python tools/make_tfrecords.py --source=synthetic --count=2000 --output=data/train

One call writes one split of one source into one folder. An interrupted conversion resumes when the same command is
given again, and writes the same files. --source=list shows every source with its --input, its licence and the flags
that it takes; others are refused.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
import textwrap
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tools.cli import command, common_flags, plans
from tools.cli.errors import InputError
from tools.engines import engine

if TYPE_CHECKING:
    from tfrecords.source import Options, Source

# Sources that make their records themselves.
_WITHOUT_INPUT = ("synthetic", "rendered")


def declare() -> command.Flags:
    """The flags of this command."""
    flags = command.Flags(__doc__, dry_run=True)
    with flags.group("What to convert"):
        flags.string("source", None, "data set or format, 'list' for a table, or package.module:Class for your own")
        flags.string("input", None, "data set folder or file; the table says which (synthetic and rendered need none)")
        flags.string("split", "", "train, val, test, ... as the table says; the source's first one when not given")
        flags.string(
            "keep",
            "",
            "decisions.json of a review (tools/review.py): dropped records are skipped, swapped sides are exchanged",
        )
        flags.integer(
            "limit", 0, "read only this many records from the start, including skipped ones; 0: all", lower_bound=0
        )
    with flags.group("How the source is read"):
        flags.string(
            "images",
            "",
            "folder or tar of the pictures, where --input does not contain it (photos: beside NAME_joints.npz, in "
            "NAME/, NAME.tar or images/); 'none': records without pictures",
        )
        flags.boolean("verify", False, "decode every picture to check it, instead of only its file structure")
        flags.string("cameras", "", "Human3.6M's cameras: cameras.h5, metadata.xml, .pkl or .json")
        flags.integer("frame_step", 1, "take every n-th frame of sequences", lower_bound=1)
        flags.enum(
            "layout", "auto", ["auto", "planar", "interleaved"], "x..., y..., z... or x0 y0 x1 y1 ... in plain arrays"
        )
        flags.strings("permutation", None, "17 numbers: joint i is at place permutation[i] of plain arrays")
        flags.strings("intrinsics", None, "fx,fy,cx,cy in px, for data that has none")
        flags.float(
            "unit_mm",
            0.0,
            "length of one unit of the source's 3D coordinates, in mm; 0: as its format says",
            lower_bound=0,
        )
        flags.string(
            "body_model",
            "",
            "for AMASS and SMPL files of rotations: .npz of a body model that you have a licence for (v_template, "
            "shapedirs, J_regressor)",
        )
        flags.float("baseline_mm", 500.0, "stereo baseline: displacement of poses along +x for the right view, in mm")
        flags.boolean("distort", False, "project with the cameras' lens distortion instead of as pinhole cameras")
        styles = ["h36m", "wild", "level"]
        flags.enum("cameras_style", "h36m", styles, "sampled cameras, for poses without a camera of their own")
        flags.integer(
            "count",
            100_000,
            "number of poses of --source=synthetic, or of pictures of --source=rendered",
            lower_bound=1,
        )
        flags.integer("seed", 0, "random seed of synthetic poses, rendered pictures and --shuffle", lower_bound=0)
    with flags.group("How it is written"):
        flags.string("output", None, "folder for the shards and manifest.json; created when needed")
        flags.integer("num_shards", 0, "number of files; 0: chosen by the number of records", lower_bound=0)
        flags.boolean("shuffle", False, "distribute the records among the shards at random")
        flags.boolean("gzip", False, "compress each shard: name-00000-of-00016.tfrecord.gz")
        flags.integer("workers", 0, "number of processes; 0: one for each core where that is faster", lower_bound=0)
        flags.boolean("overwrite", False, "replace an existing conversion in --output")
    engine.declare(flags, "the conversion")
    return flags


def main(flags: command.Flags) -> int:
    """Converts, and reports what was written and what was skipped."""
    from tfrecords import sources, writer
    from tfrecords.conversion import reviewed

    flags.require("source")
    if flags.source == "list":
        print(sources_table())
        flags.report["sources"] = {name: sources.source_class(name).info for name in sources.SOURCES}
        flags.report["flags"] = {name: sources.taken_by(name) for name in sources.SOURCES}
        return 0
    makes_its_own = flags.source in _WITHOUT_INPUT or ":" in flags.source
    flags.require("output", *(() if makes_its_own else ("input",)))
    sources.source_class(flags.source)  # there is one, before what it takes is asked
    sources.check_taken(flags.source, _given(flags), bool(flags.input))
    for name in ("cameras", "distort"):
        if getattr(flags, name) and flags.cameras_style != "h36m" and ":" not in flags.source:
            raise InputError(f"--{name}: sampled cameras are pinholes of their own; it goes with --cameras_style=h36m")
    start = time.monotonic()
    factory: Callable[..., Source] = functools.partial(
        sources.open_source, flags.source, flags.input or "", _options(flags)
    )
    if flags.keep:
        _check_keep(flags)
        factory = functools.partial(reviewed.open_reviewed, factory, flags.keep)
    how: dict[str, Any] = {
        "num_shards": flags.num_shards,
        "shuffle": flags.shuffle,
        "seed": flags.seed,
        "compressed": flags.gzip,
        "limit": flags.limit,
        "overwrite": flags.overwrite,
    }
    if flags.dry_run:
        source, plan = writer.preview(factory, flags.output, **how)
        files = [plan.file(shard) for shard in range(plan.num_shards)]
        return plans.show(
            flags,
            [f"{flags.input or 'nothing'}: source {source.info.name}, split {source.split}: {len(source):,} records"],
            [f"{_counted(plan.records, 'record')}, some of which may be skipped when they are read"],
            [os.path.join(flags.output, name) for name in (*files, "manifest.json")],
        )
    content = writer.convert(
        factory, flags.output, num_workers=flags.workers, engine=engine.Engine.of_flags(flags), **how
    )
    _report(content, time.monotonic() - start)
    flags.report.update(
        output=content.folder,
        records=content.records,
        shards=content.shards,
        bytes=content.bytes,
        skipped={reason: entry["count"] for reason, entry in content.skipped.items()},
        source=content.source,
        split=content.split,
    )
    return 0


def _given(flags: command.Flags) -> list[str]:
    """The flags about the source that the user gave; with --shuffle, --seed is not about the source alone."""
    from tfrecords import sources

    return [name for name in sources.TAKEN if flags.given(name) and not (name == "seed" and flags.shuffle)]


def _check_keep(flags: command.Flags) -> None:
    """Raises `InputError` when no decision of --keep fits a record of the source."""
    from tfrecords import sources
    from tfrecords.conversion import reviewed

    options = _options(flags)
    for chosen in (dataclasses.replace(options, images="none"), options):
        open_source = functools.partial(sources.open_source, flags.source, flags.input or "", chosen)
        try:
            source = reviewed.open_reviewed(open_source, flags.keep)
        except InputError:
            if chosen is options:
                raise
            continue  # pictures tell some sources their records
        return source.check_matched()


def _options(flags: command.Flags) -> Options:
    from tfrecords.source import Options
    from tools.pose import bounds, joints

    intrinsics: Any = common_flags.numbers(flags, "intrinsics", float, 4)
    if intrinsics is not None and not bounds.good_camera(*intrinsics):
        raise InputError(f"--intrinsics={','.join(flags.intrinsics)}: {bounds.EXPECTED_INTRINSICS}")
    return Options(
        split=flags.split,
        images=flags.images,
        cameras=flags.cameras,
        layout="" if flags.layout == "auto" else flags.layout,
        permutation=joints.parse_permutation(flags.permutation),
        intrinsics=intrinsics,
        baseline_mm=bounds.check_baseline(flags.baseline_mm),
        verify=flags.verify,
        frame_step=flags.frame_step,
        count=flags.count,
        seed=flags.seed,
        cameras_style=flags.cameras_style,
        distort=flags.distort,
        unit_mm=flags.unit_mm,
        body_model=flags.body_model,
    )


def _report(content: Any, seconds: float) -> None:
    for reason, entry in content.skipped.items():
        print(f"skipped {entry['count']:,}: {reason}; for instance {entry['first'][0]}")
    print(
        f"{_counted(content.records, 'record')} in {_counted(len(content.shards), 'shard')}, "
        f"{content.bytes / 1e6:,.1f} MB, "
        f"{content.records / max(seconds, 1e-9):,.0f} a second"
    )
    print(f"licence: {content.source['licence']}")
    print(f"written to {content.folder}")


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def sources_table() -> str:
    """What every source is, what its input must be, its splits, whether it has pictures, its flags, its licence."""
    from tfrecords import sources

    lines = []
    for name in sources.SOURCES:
        info = sources.source_class(name).info
        rows = {
            "input": info.input,
            "splits": ", ".join(info.splits),
            "images": "yes" if info.images else "no",
            "flags": ", ".join(f"--{flag}" for flag in sources.taken_by(name)) or "none",
            "licence": info.licence,
        }
        lines.append(f"{name}: {info.description}")
        for title, text in rows.items():
            lines += textwrap.wrap(text, 110, initial_indent=f"    {title:8} ", subsequent_indent=" " * 13)
    return "\n".join(lines)


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
