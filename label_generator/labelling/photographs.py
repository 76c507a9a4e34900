"""From photographs and videos to a file of people: key points, identities, and what the detector thinks of them.

Rows grow on disk picture by picture; a run that was stopped goes on with the picture after the last whole one. A
picture without people has one row, with the reason, so that the file says of every picture what became of it.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import itertools
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from label_generator.labelling import found_people, people_file, video_people
from label_generator.labelling.found_people import FoundPeople
from label_generator.labelling.options import LabellingOptions
from label_generator.labelling.picture_files import Picture, PictureFiles
from tfrecords.formats import arrays as npy_files
from tfrecords.source import Skip
from tfrecords.storage.partial import locked
from tools.cli.errors import InputError
from tools.cli.progress import Progress
from tools.files import inputs as file_inputs
from tools.files import remote
from tools.files.columns import LabelFiles

if TYPE_CHECKING:
    from tools.detection.people import PeopleFinder, Settings

NAME = "people.npz"
NOBODY = "nobody found"
_WORK = ".people"
_CHECKPOINT_PICTURES = 64
DETECTORS = ("mediapipe", "mediapipe_only", "baseline", "hog")
# Those whose people have MediaPipe's 33 landmarks.
_MEDIAPIPE = DETECTORS[:2]
_COLUMNS = {
    "boxes": ("<f4", (4,)),
    "presence": ("<f4", ()),
    "sureness": ("<f4", ()),
    "score": ("<f4", ()),
    "picture": ("<i8", ()),
    "frame": ("<i8", ()),
    "seconds": ("<f8", ()),
    "person": ("<i8", ()),
    "image_size": ("<i8", (2,)),
    "film_mm": ("<f4", ()),
    "reason": ("<i4", ()),
    "file": ("<i4", ()),
}


@dataclasses.dataclass(frozen=True)
class Request:
    """What is looked for where; see the flags of `generate.py`."""

    path: str
    output: pathlib.Path
    detector: str = "mediapipe"
    every_seconds: float = 0.0
    threads: int = 0
    overwrite: bool = False
    body_head: str = ""
    limit: int = 0

    @property
    def file(self) -> pathlib.Path:
        """Where the people are written."""
        return self.output / NAME


def with_people(options: LabellingOptions) -> LabellingOptions:
    """The options of a run on photographs with the file of their people as input, which is made when need be.

    Raises:
      InputError: see `find_people`.
    """
    path = remote.fetched(options.spec.path)
    if path.suffix.lower() != ".npz":
        request = Request(
            str(path),
            options.folder,
            options.detector,
            options.every_seconds,
            overwrite=options.overwrite,
            body_head=options.body_head,
            limit=options.spec.limit,
        )
        with locked(options.folder):
            path = find_people(request)
    return dataclasses.replace(options, spec=dataclasses.replace(options.spec, path=str(path), limit=0))


def find_people(request: Request) -> pathlib.Path:
    """Writes the people of all pictures; returns the file, which is taken as it is when it is this request's already.

    Raises:
      InputError: nothing to read, another request's file in the output, or no models.
    """
    if not file_inputs.is_unicode(os.path.abspath(request.path)):
        raise InputError(f"{request.path}: a path that is not Unicode text, which no label can name; rename it")
    files = PictureFiles(request.path, request.output)
    header = _header(request, files)
    if request.file.exists() and not request.overwrite:
        if _header_of(request.file) != str(header):
            raise InputError(
                f"{request.file}: people of another input, --detector, --every_seconds or --limit; --overwrite "
                "replaces it"
            )
        return request.file
    if (
        request.detector not in _MEDIAPIPE
        and any(files.is_video(name) for name in files.names)
        and len(files.names) > 1
    ):
        raise InputError(f"{request.path}: with --detector={request.detector} one video at a time")
    total = files.frames(request.every_seconds, request.limit)
    joint_set = "mediapipe33" if request.detector in _MEDIAPIPE else "mpii16"
    size = 33 if request.detector in _MEDIAPIPE else 16
    columns = {"joints": ("<f4", (size, 3)), "world": ("<f4", (size, 3)), **_COLUMNS}
    work = request.output / _WORK
    try:
        table = LabelFiles(work, columns, ("file",), header, ["", NOBODY])
    except InputError:
        if not request.overwrite:
            raise
        shutil.rmtree(work)
        table = LabelFiles(work, columns, ("file",), header, ["", NOBODY])
    try:
        start = int(table.read("picture", table.rows - 1, table.rows)[0]) + 1 if table.rows else 0
        if request.detector in _MEDIAPIPE:
            results = _mediapipe(request, files, start, _numbers_after(table))
        else:
            results = _baseline(request, files, start)
        people = int((table.read("reason", 0, table.rows) == 0).sum())
        with Progress(total, "pictures", min(start, total)) as progress:
            for picture, found in results:
                people += _append(table, picture, found)
                if picture.number % _CHECKPOINT_PICTURES == 0:
                    table.checkpoint()
                progress.update(min(picture.number + 1, total))
        table.checkpoint()
        _check_readable(request, table)
        extra = {
            "joint_set": np.array([joint_set]),
            "input": np.array([os.path.abspath(request.path)]),
            "every_seconds": np.array([request.every_seconds]),
            "reasons": np.array(table.reasons),
            **people_file.cut_video_arrays(files.cut_videos),
            "header": np.array([str(header)]),
        }
        temporary = work / NAME
        table.write_npz(temporary, extra)
        os.replace(temporary, request.file)
    finally:
        table.close()
    shutil.rmtree(work, ignore_errors=True)
    return request.file


def _check_readable(request: Request, table: LabelFiles) -> None:
    """Raises `InputError`, and leaves nothing behind, when no picture could be read."""
    reasons = collections.Counter(table.read("reason", 0, table.rows).tolist())
    if table.rows and reasons.keys() & {0, 1}:
        return
    shutil.rmtree(request.output / _WORK, ignore_errors=True)
    reasons_text = ", ".join(f"{table.reasons[code]}: {count:,}" for code, count in reasons.items()) or "no frame"
    raise InputError(f"{request.path}: none of its {table.rows:,} pictures can be read ({reasons_text})")


def _header(request: Request, files: PictureFiles) -> dict[str, Any]:
    """What the people depend on."""
    stats = []
    for path in files.paths:
        with contextlib.suppress(OSError):  # such as a link to nothing, which is one of the unreadable pictures
            stats.append(os.stat(path))
    from tools.detection import people

    settings: Any = request.detector
    head = people.check_models(request.detector, request.body_head)
    if request.detector in _MEDIAPIPE:
        chosen = dataclasses.asdict(people.settings_of(request.detector, request.body_head))
        del chosen["weights"]  # what they are decides, not where
        settings = [request.detector, chosen, head]
    return {
        "input": os.path.abspath(request.path),
        "files": len(files.paths),
        "bytes": sum(stat.st_size for stat in stats),
        "changed": max((stat.st_mtime_ns for stat in stats), default=0),
        "detector": settings,
        "every_seconds": request.every_seconds,
        **({"limit": request.limit} if request.limit else {}),
    }


def _header_of(path: pathlib.Path) -> str:
    try:
        return str(npy_files.read_npz(path, ["header"])["header"][0])
    except (InputError, KeyError, IndexError) as error:
        raise InputError(f"{path}: not a file of people, or damaged; --overwrite replaces it") from error


def _append(table: LabelFiles, picture: Picture, found: FoundPeople | Skip) -> int:
    """Adds the rows of one picture; returns how many people."""
    count = 0 if isinstance(found, Skip) else len(found.points)
    rows = max(count, 1)
    size = table.columns["joints"][1][0]
    values: dict[str, Any] = {
        "joints": np.full((rows, size, 3), np.nan, np.float32),
        "world": np.full((rows, size, 3), np.nan, np.float32),
        "boxes": np.full((rows, 4), np.nan, np.float32),
        "person": np.full(rows, -1, np.int64),
        **{name: np.full(rows, np.nan, np.float32) for name in ("presence", "sureness", "score")},
    }
    if not isinstance(found, Skip) and count:
        values["joints"] = np.concatenate([found.points, found.confidence[..., None]], -1)
        for name in ("world", "boxes", "presence", "sureness", "score", "person"):
            values[name] = getattr(found, name)
    reason = found.reason if isinstance(found, Skip) else "" if count else NOBODY
    photo = picture.photo
    if isinstance(photo, Skip):
        shape, frame, seconds, film_mm = (-1, -1), -1, np.nan, 0.0
    else:
        height, width = photo.pixels.shape[:2]
        shape, frame, seconds, film_mm = (width, height), photo.frame, photo.seconds, photo.film_mm
    table.append(
        {
            **values,
            "picture": np.full(rows, picture.number),
            "frame": np.full(rows, frame),
            "seconds": np.full(rows, seconds),
            "image_size": np.tile(shape, (rows, 1)),
            "film_mm": np.full(rows, film_mm),
            "reason": np.full(rows, table.reason(reason)),
            "file": [picture.name] * rows,
        }
    )
    return count


def _numbers_after(table: LabelFiles) -> dict[str, int]:
    """{name: the next person's number} of the file that an earlier run stopped in."""
    if not table.rows:
        return {}
    files = table.read("file", 0, table.rows)
    name = next(itertools.islice(table.texts("file"), int(files[-1]), None))
    return {name: int(table.read("person", 0, table.rows)[files == files[-1]].max()) + 1}


def _mediapipe(
    request: Request, files: PictureFiles, start: int, numbers: dict[str, int]
) -> Iterator[tuple[Picture, FoundPeople | Skip]]:
    """Photographs side by side, a video's frames one after the other; in the order of the pictures.

    numbers: the first person's number in a video, 0 where there is none.
    """
    from tools.detection import people

    threads = request.threads or len(os.sched_getaffinity(0))
    settings = people.settings_of(request.detector, request.body_head)
    finders: dict[int, Any] = {}

    def finder(own_threads: int) -> PeopleFinder:
        from tools.detection.people import PeopleFinder

        if own_threads not in finders:
            finders[own_threads] = PeopleFinder(settings, own_threads)
        return finders[own_threads]

    pictures = files.pictures(request.every_seconds, start, request.limit)
    if len(files.names) == 1 or threads == 1:
        yield from _one_by_one(pictures, finder(threads), numbers)
        return
    yield from _side_by_side(pictures, threads, settings, lambda: finder(threads), numbers)


def _side_by_side(
    pictures: Iterator[Picture],
    threads: int,
    settings: Settings,
    video_finder: Callable[[], PeopleFinder],
    numbers: dict[str, int],
) -> Iterator[tuple[Picture, FoundPeople | Skip]]:
    """As `_one_by_one`, with as many photographs at once as there are threads; at most two of each wait."""
    import threading

    from tools.detection.people import PeopleFinder

    own = threading.local()

    def find(picture: Picture) -> tuple[Picture, FoundPeople | Skip]:
        if not hasattr(own, "finder"):
            own.finder = PeopleFinder(settings)
        return picture, _of_photograph(own.finder, picture)

    waiting: collections.deque = collections.deque()
    follower: video_people.Follower | None = None
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for picture in pictures:
            if picture.video:
                while waiting:
                    yield waiting.popleft().result()
                if follower is None or follower.name != picture.name:
                    follower = video_people.Follower(picture.name, video_finder(), numbers.get(picture.name, 0))
                yield picture, follower.find(picture)
                continue
            waiting.append(pool.submit(find, picture))
            while len(waiting) >= 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _one_by_one(
    pictures: Iterator[Picture], finder: PeopleFinder, numbers: dict[str, int]
) -> Iterator[tuple[Picture, FoundPeople | Skip]]:
    follower: video_people.Follower | None = None
    for picture in pictures:
        if not picture.video:
            yield picture, _of_photograph(finder, picture)
            continue
        if follower is None or follower.name != picture.name:
            follower = video_people.Follower(picture.name, finder, numbers.get(picture.name, 0))
        yield picture, follower.find(picture)


def _of_photograph(finder: PeopleFinder, picture: Picture) -> FoundPeople | Skip:
    if isinstance(picture.photo, Skip):
        return picture.photo
    people = finder.find(picture.photo.pixels)
    return found_people.as_arrays(people, list(range(len(people))), picture.photo.pixels)


def _baseline(request: Request, files: PictureFiles, start: int) -> Iterator[tuple[Picture, FoundPeople | Skip]]:
    """The key points of the baseline network, which runs as a command of its own: neither network imports the other."""
    from tools.detection import mediapipe_models

    root = pathlib.Path(__file__).resolve().parents[2]
    source = files.root / files.names[0] if len(files.names) == 1 else files.root
    with tempfile.TemporaryDirectory() as folder:
        predictions = pathlib.Path(folder) / "predictions"
        boxes = "hog" if request.detector == "hog" else "mediapipe"
        command = [sys.executable, str(root / "baseline_network" / "predict.py"), f"--input={source}"]
        command += [f"--output={predictions}", "--nooverlays", f"--detector={boxes}"]
        if request.limit and not request.every_seconds:  # of sampled frames it does not know the last
            command.append(f"--limit={request.limit}")
        if not mediapipe_models.available():
            command.append("--weights=photographs-128-2")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            line = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise InputError(
                f"--detector={request.detector}: baseline_network/predict.py: {line.removeprefix('error: ')}"
            )
        with np.load(predictions / "predictions.npz", allow_pickle=False) as content:
            table = {name: content[name] for name in content.files}
    rows: dict[tuple[str, int], list[int]] = collections.defaultdict(list)
    for row, (name, frame) in enumerate(zip(table["files"].tolist(), table["frames"].tolist())):
        rows[str(name), int(frame)].append(row)
    for picture in files.pictures(request.every_seconds, start, request.limit):
        if isinstance(picture.photo, Skip):
            yield picture, picture.photo
            continue
        mine = rows.get((picture.name, picture.photo.frame), [])
        count = len(mine)
        # Pixel centres are halves to that network, whole numbers here.
        points = table["points"][mine].reshape(count, 16, 2) - np.float32(0.5)
        nothing = np.full(count, np.nan, np.float32)
        yield picture, FoundPeople(
            points.astype(np.float32),
            table["confidence"][mine].reshape(count, 16).astype(np.float32),
            np.full((count, 16, 3), np.nan, np.float32),
            table["boxes"][mine].reshape(count, 4).astype(np.float32),
            nothing, nothing, nothing, np.arange(count),
        )  # fmt: skip
