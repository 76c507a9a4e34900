"""The people of photographs and videos, as `photographs.find_people` wrote them, as an input of poses."""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from label_generator.labelling import array_rows
from label_generator.labelling.picture_files import CutVideo, Picture, PictureFiles
from tfrecords.formats import images
from tfrecords.schema import GIVEN, OCCLUDED, VISIBLE, PoseRecord
from tfrecords.source import Info, Skip
from tools.cli.errors import InputError
from tools.files import archives, inputs
from tools.pose import bounds, joints
from tools.pose.cameras import intrinsics_from_size

INFO = Info(
    name="photographs",
    description="people found in photographs and videos: 2D poses",
    input="people.npz that generate.py made of photographs",
    licence="that of the pictures",
    citation="Bazarevsky et al.: BlazePose: On-device Real-time Body Pose Tracking, CVPR workshop 2020",
    images=True,
)
# A landmark of this visibility or more counts as seen, below as hidden.
_SEEN = 0.5
_JPEG_QUALITY = 95
_ROWS = 1024
_CUT_VIDEOS, _CUT_FRAMES = "cut_videos", "cut_video_frames"


class PeopleFile:
    """The rows of a people.npz; one a person, and one a picture without people.

    Attributes:
      joint_set: of the key points. input, every_seconds: what was looked at. reasons: texts of the column 'reason'.
      cut_videos: videos that ended before the frames that they announce; the rows are of those that could be decoded.
    """

    def __init__(self, path: pathlib.Path):
        """Raises `InputError` when it is none."""
        self.path = path
        self._rows = array_rows.open_npz(path)
        needed = ["joints", "boxes", "picture", "frame", "person", "image_size", "reason", "file", "files"]
        needed += ["joint_set", "reasons", "input", "every_seconds"]
        missing = [name for name in needed if name not in self._rows]
        if missing:
            raise InputError(f"{path}: no array {missing[0]}; expected {INFO.input}")
        with inputs.reading(path, INFO.input), np.load(path, allow_pickle=False) as content:

            def texts(name: str) -> list[str]:
                return [inputs.text_of(value, f"{path}: {name}[{i}]") for i, value in enumerate(content[name].tolist())]

            (self.joint_set, *_), (self.input, *_) = texts("joint_set"), texts("input")
            self.every_seconds = float(content["every_seconds"][0])
            self.reasons, self._files = texts("reasons"), texts("files")
            self.cut_videos: list[CutVideo] = []
            if _CUT_VIDEOS in self._rows:  # files of before 0.2.0 have none
                counts = np.asarray(content[_CUT_FRAMES]).reshape(-1, 2).tolist()
                self.cut_videos = [CutVideo(name, *map(int, row)) for name, row in zip(texts(_CUT_VIDEOS), counts)]

    def __len__(self) -> int:
        return len(self._rows["reason"])

    def read(self, name: str, start: int, stop: int) -> np.ndarray:
        """Rows start to stop of a column."""
        return self._rows[name].read(start, stop)

    def fps(self) -> float:
        """Frames per second of its videos, as the times of their frames say; 0 where there is none."""
        if "seconds" not in self._rows:
            return 0.0
        frame, seconds = (self.read(name, 0, len(self)).astype(np.float64) for name in ("frame", "seconds"))
        later = (np.diff(frame) > 0) & (np.diff(seconds) > 0)
        return bounds.good_fps(np.median(np.diff(frame)[later] / np.diff(seconds)[later])) if later.any() else 0.0

    def files(self, start: int, stop: int) -> list[str]:
        """The names of the pictures of rows start to stop."""
        return [self._files[number] for number in self.read("file", start, stop).tolist()]

    def poses(self, start: int, stop: int, min_confidence: float) -> tuple[np.ndarray, np.ndarray]:
        """Poses [n, 17, 2] px and their provenance [n, 17]; without infinite key points and those of a confidence not
        above the least."""
        table = self.read("joints", start, stop)
        given = (table[..., 2:] > min_confidence) & np.isfinite(table[..., :2]).all(-1, keepdims=True)
        points = np.where(given, table[..., :2], np.nan)
        return joints.convert(points, self.joint_set)

    def intrinsics(self, start: int, stop: int) -> np.ndarray:
        """[n, 4] px by the focal lengths that the photographs' EXIF data states; NaN where it states none."""
        film_mm = self.read("film_mm", start, stop) if "film_mm" in self._rows else np.zeros(stop - start)
        return intrinsics_from_size(self.read("image_size", start, stop), film_mm)

    def pictures(self) -> Iterator[Picture]:
        """The pictures themselves, in the order of the column 'picture'."""
        return PictureFiles(self.input, self.path.parent).pictures(self.every_seconds)

    def record(self, row: int, poses: np.ndarray, provenance: np.ndarray) -> PoseRecord | Skip:
        """The record of a row without its picture."""
        reason = int(self.read("reason", row, row + 1)[0])
        file = self.files(row, row + 1)[0]
        frame, person = (int(self.read(name, row, row + 1)[0]) for name in ("frame", "person"))
        where = file + (f" frame {frame}" if frame >= 0 else "")
        if reason:
            return Skip(self.reasons[reason], where)
        if not provenance.any():
            return Skip("no joint", f"{where} person {person}")
        intrinsics = self.intrinsics(row, row + 1)[0]
        camera = {"intrinsics": intrinsics, "camera_kind": GIVEN} if np.isfinite(intrinsics).all() else {}
        return PoseRecord(
            **camera,
            dataset=INFO.name,
            subject=file,
            sequence=file if frame >= 0 else "",
            frame=frame,
            person=person,
            file=file,
            pose_2d=poses,
            provenance_2d=provenance,
            visibility=self._visibility(row, provenance),
            box=self.read("boxes", row, row + 1)[0],
            image_size=self.read("image_size", row, row + 1)[0],
        )

    def _visibility(self, row: int, provenance: np.ndarray) -> np.ndarray:
        confidence = self.read("joints", row, row + 1)[0, :, 2]
        places, known = joints.convert(np.where(confidence > 0, confidence, np.nan)[:, None], self.joint_set)
        codes = np.where(places[:, 0] >= _SEEN, VISIBLE, OCCLUDED)
        return np.where((known == joints.LABELLED) & (provenance == joints.LABELLED), codes, 0).astype(np.uint8)

    def records(self, numbers: np.ndarray, min_confidence: float, with_images: bool) -> Iterator[PoseRecord | Skip]:
        """The records of ascending rows, with their pictures, upright, when asked for."""
        pictures = _Ahead(self.pictures()) if with_images else None
        for row in np.asarray(numbers, np.int64).tolist():
            poses, provenance = self.poses(row, row + 1, min_confidence)
            record = self.record(row, poses[0], provenance[0])
            if isinstance(record, PoseRecord) and pictures is not None:
                record = _with_picture(record, pictures.at(int(self.read("picture", row, row + 1)[0])))
            yield record

    def photographs(self, numbers: np.ndarray) -> Iterator[bytes | None]:
        """The upright picture of each of ascending rows as JPEG, the same object for people of one; None where it can't
        be read, or is of another size now."""
        pictures, last = _Ahead(self.pictures()), -1
        data: bytes | None = None
        for row in np.asarray(numbers, np.int64).tolist():
            number = int(self.read("picture", row, row + 1)[0])
            if number != last:
                last, data = number, None
                picture, size = pictures.at(number), tuple(self.read("image_size", row, row + 1)[0])
                if picture is not None and not isinstance(picture.photo, Skip):
                    pixels = picture.photo.pixels
                    data = _jpeg(pixels) if size == pixels.shape[1::-1] else None
            yield data


class _Ahead:
    """A stream of pictures, read on to the one that is asked for; several people stand in one."""

    def __init__(self, pictures: Iterator[Picture]):
        self._pictures = pictures
        self._now: Picture | None = None

    def at(self, number: int) -> Picture | None:
        while self._now is None or self._now.number < number:
            self._now = next(self._pictures, None)
            if self._now is None:
                return None
        return self._now


def _with_picture(record: PoseRecord, picture: Picture | None) -> PoseRecord | Skip:
    if picture is None or isinstance(picture.photo, Skip):
        return Skip(images.MISSING, record.file)
    if tuple(record.image_size) != picture.photo.pixels.shape[1::-1]:
        return Skip(images.OTHER_SIZE, record.file)
    # Key points are those of the upright picture, so the file as it is would fit only where it stands upright.
    record.image, record.image_format = _jpeg(picture.photo.pixels), "jpeg"
    return record


def _jpeg(pixels: np.ndarray) -> bytes:
    import cv2

    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()


def cut_video_arrays(cut_videos: Sequence[CutVideo]) -> dict[str, np.ndarray]:
    """The arrays of a people.npz that say which videos ended early: names [n], frames decoded and announced [n, 2]."""
    names = np.array([video.file for video in cut_videos], str)
    frames = np.array([(video.decoded, video.announced) for video in cut_videos], np.int64).reshape(-1, 2)
    return {_CUT_VIDEOS: names, _CUT_FRAMES: frames}


def is_people_file(path: pathlib.Path) -> bool:
    """Whether an .npz is one of people, by its arrays' names."""
    try:
        with archives.open_zip(path) as content:
            names = {name.removesuffix(".npy") for name in content.namelist()}
    except InputError:
        return False
    return {"joints", "boxes", "joint_set", "every_seconds"} <= names


def folder_of_pictures(path: pathlib.Path) -> str:
    """The folder to which the names of a people.npz's pictures and videos are relative; '' where it is gone."""
    try:
        return str(PictureFiles(PeopleFile(path).input, path.parent).root)
    except InputError:
        return ""


def by_picture(people: PeopleFile) -> Iterator[tuple[int, np.ndarray]]:
    """(number of the picture, its rows), in order; one picture's rows in memory at a time."""

    def numbered() -> Iterator[tuple[int, int]]:
        for start in range(0, len(people), _ROWS):
            for i, picture in enumerate(people.read("picture", start, min(start + _ROWS, len(people))).tolist()):
                yield picture, start + i

    for picture, group in itertools.groupby(numbered(), key=lambda item: item[0]):
        yield picture, np.array([row for _, row in group])
