"""Inspect folders of TFRecords: print statistics, verify every record, and draw a contact sheet.

    python tools/inspect_tfrecords.py data/train data/test
    python tools/inspect_tfrecords.py data/train --sheet=none --json

Reads every record: counts, statistics, shares of labelled, made and missing joints, joints outside the picture,
duplicates; hashes and checksums; and that no subject is in two splits, over all folders given. Damage is named by shard
and record, and ends with exit status 2.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tools.cli import command, plans
from tools.cli.errors import InputError
from tools.cli.words import counted
from tools.files import remote

if TYPE_CHECKING:
    import numpy as np

_DAMAGE_SHOWN = 20
_NO_SHEET = "none"


def declare() -> command.Flags:
    """The flags of this command."""
    flags = command.Flags(__doc__, positional="FOLDER...", dry_run=True)
    with flags.group("What is shown"):
        flags.integer("top", 10, "how many subjects and actions are listed", lower_bound=1)
    with flags.group("Contact sheet"):
        flags.string(
            "sheet", "", "picture to draw; contact_sheet.png in the first folder when not given; 'none' for none"
        )
        flags.integer("sheet_records", 24, "records on it, spread evenly", lower_bound=1)
        flags.boolean("overwrite", False, "replace a picture that is there")
    return flags


def main(flags: command.Flags) -> int:
    """Prints the findings; returns 2 when something is damaged."""
    from tfrecords.storage import inspection, manifest
    from tools.cli.progress import Progress

    if not flags.arguments:
        raise InputError("name at least one folder of TFRecords (see --help)")
    contents = [manifest.read_manifest(folder) for folder in flags.arguments]
    sheet = _sheet_path(flags, contents[0].folder)
    total = sum(content.records for content in contents)
    if flags.dry_run:
        reads = [f"{content.folder}: {content.records:,} records, {content.bytes:,} bytes" for content in contents]
        return plans.show(flags, reads, ["every record"], [sheet] if sheet else [])
    with Progress(total, "records") as progress:
        findings = inspection.inspect(flags.arguments, flags.sheet_records if sheet else 0, progress.update)
    for content in contents:
        source = content.source
        print(f"{content.folder}: {source['name']}, split {content.split}: {content.records:,} records")
        print(f"    {source['description']}\n    licence {source['licence']}\n    version {content.version}")
    print("\n".join(report(findings, flags.top)))
    if sheet and findings.samples:
        from tools.drawing import drawing

        print(f"contact sheet: {drawing.write_image(sheet, contact_sheet(findings.samples), flags.overwrite)}")
        flags.report["contact_sheet"] = sheet
    damage = findings.damage + findings.shared_subjects()
    flags.report.update(
        folders={str(content.folder): content.records for content in contents},
        records=findings.records,
        shards=findings.shards,
        bytes=findings.bytes,
        pictures=findings.pictures,
        skipped=findings.skipped,
        ranges={name: [span.low, span.mean, span.high] for name, span in findings.ranges.items() if span.records},
        provenance={name: counts.tolist() for name, counts in findings.provenance.items()},
        texts=findings.counters,
        outside_the_picture=findings.outside,
        duplicates=findings.duplicates,
        damage=damage,
    )
    for line in damage[:_DAMAGE_SHOWN]:
        print(f"error: {line}", file=sys.stderr)
    if len(damage) > _DAMAGE_SHOWN:
        print(f"error: and {len(damage) - _DAMAGE_SHOWN:,} more", file=sys.stderr)
    if not damage:
        print("integrity: sizes, SHA-256, checksums, joints and splits are sound")
    return command.BAD_INPUT if damage else 0


def _sheet_path(flags: command.Flags, folder: pathlib.Path) -> pathlib.Path | None:
    """Where the contact sheet goes, or None. One that is there by default is left as it is."""
    if flags.sheet == _NO_SHEET:
        return None
    if not flags.sheet and remote.is_remote(folder):
        print("contact sheet: none beside records at an address; --sheet=FILE says where")
        return None
    from tools.drawing import drawing

    path = pathlib.Path(flags.sheet) if flags.sheet else folder / "contact_sheet.png"
    if not flags.sheet and path.exists() and not flags.overwrite:
        print(f"contact sheet: {path} is there already; --overwrite draws it again")
        return None
    # Checked now, not after minutes of reading.
    drawing.check_picture_path(path, flags.overwrite)
    return path


def report(findings: Any, top: int = 10) -> list[str]:
    """The findings as lines of text; top: how many of the most frequent texts of each kind."""
    lines = [
        f"{counted(findings.records, 'record')}, {counted(findings.shards, 'shard')}, {findings.bytes / 1e6:,.1f} MB"
    ]
    if findings.pictures:
        lines.append(
            f"{counted(findings.pictures, 'picture')}, {findings.picture_bytes / findings.pictures / 1e3:,.1f} kB each"
        )
    for reason, count in findings.skipped.most_common():
        lines.append(f"skipped {count:,}: {reason}")
    lines += ["", f"{'field':15} {'records':>10} {'min':>12} {'mean':>12} {'max':>12}"]
    for field, span in findings.ranges.items():
        if span.records:
            lines.append(f"{field:15} {span.records:10,} {span.low:12,.3f} {span.mean:12,.3f} {span.high:12,.3f}")
    lines.append("")
    for field, counts in findings.provenance.items():
        if counts.sum():
            missing, made, labelled = 100 * counts / counts.sum()
            lines.append(f"{field}: {labelled:.2f} % labelled, {made:.2f} % made, {missing:.2f} % missing")
    for field, counter in findings.counters.items():
        if counter:
            shown = ", ".join(f"{text} {count:,}" for text, count in counter.most_common(top))
            more = f", and {len(counter) - top:,} more" if len(counter) > top else ""
            lines.append(f"{field} ({len(counter):,}): {shown}{more}")
    lines.append(f"outside the picture: {findings.outside[0]:,} labelled joints in {findings.outside[1]:,} records")
    lines.append(f"duplicates: {findings.duplicates:,}" + (f"; {findings.duplicate}" if findings.duplicate else ""))
    return lines


def contact_sheet(records: Iterable[Any]) -> np.ndarray:
    """One cell a record, uint8 `[H, W, 3]` BGR: the 2D pose on its picture or on white, and beside it the 3D pose."""
    from tools.drawing import sheets

    cells, captions = [], []
    for record in records:
        cells.append(_cell(record))
        parts = (record.split, record.subject, record.action or record.file)
        captions.append(" ".join(dict.fromkeys(part for part in parts if part)))
    return sheets.contact_sheet(cells, captions=captions)


_CELL = 220  # px, height of a cell


def _cell(record: Any) -> np.ndarray:
    import cv2
    import numpy as np

    from tfrecords.formats import images
    from tools.drawing import drawing, figures

    panels = []
    if record.provenance_2d.any():
        mask = record.provenance_2d > 0
        image = images.pixels(record.image)
        if image is None:
            panels.append(drawing.pose_canvas(record.pose_2d, None, mask, record.provenance_2d, (_CELL, _CELL)))
        else:
            crop, pose = drawing.crop_to_person(image, record.pose_2d, mask)
            scale = _CELL / max(crop.shape[:2])
            crop = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            panel = np.full((_CELL, _CELL, 3), drawing.WHITE, np.uint8)
            # Pixel centres have whole coordinates, hence the halves.
            crop = drawing.draw_skeleton_2d(crop, (pose + 0.5) * scale - 0.5, None, mask, record.provenance_2d)
            top, left = (_CELL - crop.shape[0]) // 2, (_CELL - crop.shape[1]) // 2
            panel[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
            panels.append(panel)
    if record.provenance_3d.any():
        size = (_CELL, _CELL)
        panels.append(figures.figure_3d(record.pose_3d, joint_mask=record.provenance_3d > 0, size=size, axes=False))
    return np.concatenate(panels, 1) if panels else np.full((_CELL, _CELL, 3), drawing.WHITE, np.uint8)


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
