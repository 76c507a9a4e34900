"""Evaluation of person and key point detection on photographs.

* LSP's joints.mat beside its pictures, or photographs of your own with key points in an .npz (`--source=photos`):
  PCKh@0.5 over all people and 14 joints, with half of the true head segment (Neck to HeadTop) as the limit; all joints
  of an undetected person are wrong. Of several detections in a photograph the one that fits the annotation best is
  compared, since one person of each photograph is annotated. People whose head segment is not annotated are left out.
* Key points in COCO's format. Recall: an annotated person with at least ten labelled key points is found when a
  detection has an object key point similarity of at least 0.5 with them (each detection counts once, in order of
  confidence). Precision: the share of detections that match an annotated person by that rule; detections mostly inside
  a crowd region or inside a person without labelled key points are left out.
* Pictures without people: every detection is a false positive.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import pathlib
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tfrecords.conversion import labels
from tfrecords.formats import photographs
from tfrecords.source import Options, Skip
from tfrecords.sources.lsp import Lsp
from tfrecords.sources.photos import Photos
from tools.cli import command, plans
from tools.cli.errors import InputError
from tools.cli.progress import Progress
from tools.detection.mediapipe_models import JOINT_SET
from tools.detection.people import PeopleFinder, check_models, settings_of
from tools.detection.person import Person
from tools.pose import joints

# Of COCO's evaluation: the spread of each of the 17 key points, as a share of the square root of the person's area.
SIGMAS = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000
_SIMILAR, _LEAST_KEY_POINTS, _WITHIN = 0.5, 10, 0.5
_LSP = joints.joint_set("lsp14")
_HEAD = [_LSP.index("HeadTop"), _LSP.index("Neck")]
Finder = Callable[[np.ndarray], "list[Person]"]


@dataclasses.dataclass
class Measured:
    """Of one source: its name, figures by name, and lines for the user."""

    name: str
    figures: dict[str, float]
    lines: list[str]


def evaluate(flags: command.Flags) -> int:
    """Measures what `evaluate.py --photos` names, and prints it; returns the exit status.

    Raises:
      InputError: see `measure`.
    """
    if flags.dry_run:
        for place in flags.photos:
            _kind(pathlib.Path(place))
        check_models(flags.detector, flags.body_head)
        return plans.show(flags, flags.photos, ["people in photographs; where there are none, false positives"])
    results = []
    for result in measure(flags.photos, flags.limit, flags.detector, flags.body_head):
        print("\n".join([f"{result.name}:", *(f"  {line}" for line in result.lines)]), flush=True)
        results.append(result)
    flags.report["figures"] = {result.name: result.figures for result in results}
    if not flags.json:
        print(json.dumps({result.name: result.figures for result in results}))
    return 0


def measure(paths: list[str], limit: int = 0, detector: str = "mediapipe", body_head: str = "") -> Iterator[Measured]:
    """Yields what is measured on each of the sources, see the module's head; limit: pictures of each, 0: all;
    detector, body_head: see `people.settings_of`.

    Raises:
      InputError: nothing of the kind there, or no models.
    """
    kinds = [_kind(pathlib.Path(path)) for path in paths]
    finder = PeopleFinder(settings_of(detector, body_head))
    for kind, path in zip(kinds, paths):
        yield kind(finder.find, pathlib.Path(path), limit)


def _kind(path: pathlib.Path) -> Callable[[Finder, pathlib.Path, int], Measured]:
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    return {".mat": lsp, ".npz": lsp, ".json": coco}.get(path.suffix.lower(), without_people)


def lsp(find: Finder, path: pathlib.Path, limit: int = 0) -> Measured:
    """PCKh on Leeds Sports Pose, or on the .npz of `--source=photos`."""
    source: Lsp | Photos = (Photos if path.suffix.lower() == ".npz" else Lsp)(path, Options())
    count = min(len(source), limit or len(source))
    right, missed = [], 0
    with Progress(count, "photographs") as progress:
        for number, record in enumerate(source.records(np.arange(count))):
            progress.update(number)
            photo = record if isinstance(record, Skip) else photographs.decode(record.image, record.file)
            if isinstance(record, Skip) or isinstance(photo, Skip):
                raise InputError(f"{path}: person {number}: {getattr(photo, 'reason', '')}")
            truth, known = joints.convert(record.pose_2d, "pose17", "lsp14", record.provenance_2d)
            if not (known[_HEAD] == joints.LABELLED).all():
                continue
            readings = [correct_joints(person.points, truth) for person in find(photo.pixels)]
            missed += not readings
            best = max(readings, key=np.sum, default=np.zeros(_LSP.size, bool))
            right.append(np.where(known == joints.LABELLED, best, np.nan))
    if not right:
        raise InputError(f"{path}: nobody whose neck and crown are annotated")
    table, count = 100 * np.array(right, np.float64), len(right)
    by_joint = dict(zip(_LSP.joints, np.nanmean(table, 0).round(1).tolist()))
    figures = {"pckh@0.5": float(np.nanmean(table)), "people": count, "nobody found": missed}
    return Measured(
        str(path),
        figures,
        [
            f"PCKh@0.5 {figures['pckh@0.5']:.1f} over {count:,} people, {missed:,} of them not found",
            "by joint: " + ", ".join(f"{name} {value:.0f}" for name, value in by_joint.items()),
        ],
    )


def correct_joints(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """[14] bool: landmarks [33, 2] nearer to LSP's joints [14, 2] than half of the truth's head."""
    found = joints.convert(points, JOINT_SET, "lsp14")[0]
    head = np.linalg.norm(truth[_LSP.index("HeadTop")] - truth[_LSP.index("Neck")])
    return np.linalg.norm(found - truth, axis=-1) < head / 2


def coco(find: Finder, path: pathlib.Path, limit: int = 0) -> Measured:
    """Recall by how many people there are, and precision, on key points in COCO's format."""
    content = labels.parse_json(labels.read_file(path), str(path), drop=("segmentation",))
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise InputError(f"{path}: expected COCO key points, an object with the lists 'images' and 'annotations'")
    stem = path.name.split(".")[0].removesuffix("_keypoints")
    pictures = _Folder([path.parent / f"{stem}.tar", path.parent / stem, path.parent])
    people = collections.defaultdict(list)
    for entry in content.get("annotations", []):
        people[entry["image_id"]].append(entry)
    found_of: dict[str, list[int]] = {"alone": [0, 0], "in twos": [0, 0], "in groups": [0, 0]}
    true = false = 0
    entries = content["images"][: limit or None]
    with Progress(len(entries), "photographs") as progress:
        for number, image in enumerate(entries):
            progress.update(number)
            matched, wrong, right = match(find(pictures.read(image["file_name"])), people[image["id"]])
            true, false = true + right, false + wrong
            wanted = [_key_points(entry) >= _LEAST_KEY_POINTS for entry in people[image["id"]]]
            kind = {1: "alone", 2: "in twos"}.get(sum(wanted), "in groups")
            found_of[kind][0] += sum(hit for hit, use in zip(matched, wanted) if use)
            found_of[kind][1] += sum(wanted)
    precision = true / max(true + false, 1)
    figures: dict[str, float] = {f"found {kind}": hits for kind, (hits, _) in found_of.items()}
    figures |= {f"people {kind}": total for kind, (_, total) in found_of.items()} | {"precision": precision}
    lines = [
        "found at a key point similarity of 0.5: "
        + ", ".join(f"{hits} of {total} {kind}" for kind, (hits, total) in found_of.items()),
        f"precision {precision:.2f}: {true:,} of {true + false:,} detected people match an annotated one",
    ]
    return Measured(str(path), figures, lines)


def match(found: list[Person], annotated: list[dict[str, Any]]) -> tuple[list[bool], int, int]:
    """Which annotated people are detected, and how many detections match no annotated person, and one."""
    matched, right, wrong = [False] * len(annotated), 0, 0
    for person in found:
        scores = [-1.0 if hit else similarity(person.points, entry) for hit, entry in zip(matched, annotated)]
        best = int(np.argmax(scores)) if scores else -1
        if best >= 0 and scores[best] >= _SIMILAR:
            matched[best] = True
            right += 1
        elif not any(_within(person, entry) for entry in annotated if entry.get("iscrowd") or not _key_points(entry)):
            wrong += 1
    return matched, wrong, right


def similarity(points: np.ndarray, entry: dict[str, Any]) -> float:
    """COCO's object key point similarity of landmarks [33, 2] with an annotation; 0 without labelled key points."""
    truth = np.array(entry["keypoints"], np.float64).reshape(17, 3)
    seen = truth[:, 2] > 0
    if not seen.any() or entry.get("iscrowd"):
        return 0.0
    found = joints.convert(points, JOINT_SET, "coco17")[0]
    squares = ((found - truth[:, :2]) ** 2).sum(-1)
    return float(np.exp(-squares / (2 * max(entry["area"], 1e-9) * (2 * SIGMAS) ** 2))[seen].mean())


def _key_points(entry: dict[str, Any]) -> int:
    return 0 if entry.get("iscrowd") else int((np.array(entry["keypoints"]).reshape(17, 3)[:, 2] > 0).sum())


def _within(person: Person, entry: dict[str, Any]) -> bool:
    x, y, width, height = entry["bbox"]
    inside = (person.points >= [x, y]) & (person.points <= [x + width, y + height])
    return float(inside.all(-1).mean()) >= _WITHIN


def without_people(find: Finder, path: pathlib.Path, limit: int = 0) -> Measured:
    """How many people are found in pictures that have none."""
    pictures = _Folder([path])
    names = pictures.names()[: limit or None]
    if not names:
        raise InputError(f"{path}: no picture in it")
    found: dict[str, int] = {}
    with Progress(len(names), "photographs") as progress:
        for number, name in enumerate(names):
            progress.update(number)
            count = len(find(pictures.read(name)))
            found |= {name: count} if count else {}
    total = sum(found.values())
    lines = [f"{total:,} people found in {len(names):,} photographs without people"]
    lines += [f"  {name}: {count}" for name, count in found.items()]
    return Measured(str(path), {"invented": total, "photographs": len(names)}, lines)


class _Folder:
    """Pictures in a folder or .tar, the first of some that is there."""

    def __init__(self, places: list[pathlib.Path]):
        there = [place for place in places if place.exists()]
        if not there:
            raise InputError(f"{places[0]}: no such file or folder; it has the pictures")
        self._path = there[0]
        self._tar: dict[str, bytes] | None = None
        if self._path.is_file():
            self._tar = dict(self._members())

    def _members(self) -> Iterator[tuple[str, bytes]]:
        try:
            with tarfile.open(self._path) as archive:
                for member in archive:
                    if member.isfile() and member.name.lower().endswith(photographs.SUFFIXES):
                        file = archive.extractfile(member)
                        if file is not None:
                            yield member.name, file.read()
        except (tarfile.TarError, OSError, EOFError) as error:
            raise InputError(f"{self._path}: not a .tar of pictures, or damaged ({error})") from error

    def names(self) -> list[str]:
        return sorted(self._tar) if self._tar is not None else photographs.list_pictures(self._path)

    def read(self, name: str) -> np.ndarray:
        """[H, W, 3] uint8 BGR; raises `InputError` naming the picture."""
        if self._tar is None:
            photo = photographs.read(self._path / name, name)
        else:
            photo = photographs.decode(self._tar.get(name, b""), name)
        if isinstance(photo, Skip):
            raise InputError(f"{self._path}: {photo.detail}: {photo.reason}")
        return photo.pixels
