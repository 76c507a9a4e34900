"""MPII Human Pose in the three forms that circulate.

  .mat           the release: struct RELEASE with annolist, img_train, act, video_list
  .json[.gz]     a list of people with img_paths, joint_self, objpos, scale_provided, isValidation (made for
                 convolutional pose machines and stacked hourglasses), or with image, joints, joints_vis, center, scale
                 (HRNet's train.json and valid.json)
  .h5            arrays imgname, part, visible, center, scale, normalize, index, person (pose-hg-train)

All number the joints as `mpii16` does: 0 RAnkle ... 6 Pelvis 7 Thorax 8 UpperNeck 9 HeadTop 10 RWrist ... 15 LWrist.
A joint that is not labelled is left out of the .mat or has no place there, and is (0, 0) or (-1, -1) and not visible in
the others; a joint that is not visible but has a place is occluded. Coordinates are taken over as released.

The box is the data set's own: a square of 200 px times `scale` around the person's centre. The .h5 carries centre and
scale as its training code wants them (scale * 1.25, centre 15 px * scale lower), which is taken back here.
"""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from tfrecords import schema
from tfrecords.conversion import labels
from tfrecords.conversion.people import People, PeopleSource, Picture
from tfrecords.formats import images
from tfrecords.formats.mat import load_mat
from tfrecords.source import Info, Options
from tools.cli.errors import InputError
from tools.files import hdf5, inputs

BAD_JOINTS = "not 16 joints of three numbers"
BAD_ENTRY = "person without image name"
_JOINTS = 16
_BOX_SIDE = 200.0  # px for scale 1
_HEAD_SHARE = 0.6  # of the diagonal of the head's rectangle: MPII's head size, for PCKh
_H5_SCALE, _H5_SHIFT = 1.25, 15.0


class Mpii(PeopleSource):
    """People of MPII Human Pose, image by image.

    Splits: the JSON says for each person whether it is for validation; the .h5 and HRNet's JSON tell by their name; the
    .mat knows training and test images only, and test images have no joints, so all of its people are 'train'. No image
    is in two splits; where the .mat names the video an image is from, the video is the record's subject.
    """

    info = Info(
        name="mpii",
        description="MPII Human Pose: 2D poses with images",
        input="the annotation as .mat (release), .json or .json.gz, or .h5; its images beside it or by --images",
        licence="annotations simplified BSD; the frames belong to the authors of the videos, for research",
        citation="Andriluka et al.: 2D Human Pose Estimation: New Benchmark and State of the Art Analysis, CVPR 2014",
        splits=(labels.ALL, labels.TRAIN, labels.VAL),
        images=True,
    )

    def __init__(self, path: pathlib.Path, options: Options):
        """Raises `InputError` without such a file or its images, or when its name tells another split."""
        super().__init__(path, options)
        labels.check_file(self.path, self.info.input)
        readers = {".mat": _read_mat, ".json": _read_json, ".h5": _read_h5, ".hdf5": _read_h5}
        suffix = pathlib.Path(self.path.name[: -len(".gz")] if self.path.suffix == ".gz" else self.path.name).suffix
        if suffix not in readers or (self.path.suffix == ".gz" and suffix != ".json"):
            raise InputError(f"{self.path}: expected {self.info.input}")
        self._reader = readers[suffix]
        if suffix != ".mat":
            self._declare_part()
        elif self.split == labels.VAL:
            raise InputError(f"--split=val: {self.path.name} names no validation people; the .json and the .h5 do")
        folder = self.path.parent
        self._pictures = images.open_pictures(options, [folder / "images", folder.parent / "images", folder])

    def _read(self) -> People:
        return self._reader(self.path, self._declared)


def _add(
    people: People, picture: int, person: int, points: Any, visible: Any, center: Any, scale: Any, head: float = np.nan
) -> None:
    """Adds a person whose missing joints are marked by places that are not in the picture."""
    points = labels.number_array_with_gaps(points, _JOINTS, 2)
    visible = labels.number_array_with_gaps(visible, _JOINTS)
    if points is None or visible is None:
        people.add_bad(picture, person, BAD_JOINTS)
        return
    labelled = ((visible > 0) | ~(points <= 0).all(-1)) & ~np.isnan(points).any(-1) & ~np.isnan(visible)
    codes = np.where(labelled & (visible > 0), schema.VISIBLE, np.where(labelled, schema.OCCLUDED, schema.UNKNOWN))
    box = _box(center, scale)
    people.add(picture, person, np.where(labelled[:, None], points, np.nan), codes, box, head)


def _box(center: Any, scale: Any) -> np.ndarray:
    """x, y, width, height px of MPII's square; NaN when the centre or scale is missing."""
    center, scale = labels.number_array(center, 2), labels.number_array(scale)
    if center is None or scale is None or scale <= 0:
        return np.full(4, np.nan)
    side = _BOX_SIDE * scale
    return np.array([center[0] - side / 2, center[1] - side / 2, side, side])


def _read_json(path: pathlib.Path, declared: str) -> People:
    """A list of people, or an object that holds it as 'root'."""
    content = labels.parse_json(labels.read_file(path), str(path), drop=("joint_others",))
    if isinstance(content, dict):
        content = content.get("root")
    if not isinstance(content, list):
        raise InputError(f"{path}: expected MPII people, a list of objects with img_paths and joint_self")
    people = People("mpii16", str(path))
    numbers: dict[tuple[str, str], int] = {}
    persons: dict[int, int] = {}
    for record, entry in enumerate(content):
        entry = entry if isinstance(entry, dict) else {}
        file = entry.get("img_paths", entry.get("image"))
        if not isinstance(file, str) or not file:
            people.add_bad(people.add_picture(Picture(sequence=f"record {record}")), 0, BAD_ENTRY)
            continue
        part = declared
        if "isValidation" in entry:
            part = labels.VAL if entry["isValidation"] else labels.TRAIN
        if (file, part) not in numbers:
            sides = labels.number_array([entry.get("img_width"), entry.get("img_height")], 2)
            size = (-1, -1) if sides is None else (int(sides[0]), int(sides[1]))
            numbers[file, part] = people.add_picture(Picture(file=file, split=part, size=size))
        picture = numbers[file, part]
        person = persons[picture] = persons.get(picture, -1) + 1
        if "joint_self" in entry:
            joints = labels.number_array_with_gaps(entry["joint_self"], _JOINTS, 3)
            points, visible = (None, None) if joints is None else (joints[:, :2], joints[:, 2])
            _add(people, picture, person, points, visible, entry.get("objpos"), entry.get("scale_provided"))
        else:
            points, visible = entry.get("joints"), entry.get("joints_vis")
            _add(people, picture, person, points, visible, entry.get("center"), entry.get("scale"))
    _check_parts(people)
    return people


def _check_parts(people: People) -> None:
    """Raises `InputError` when an image has people in two splits."""
    parts: dict[str, str] = {}
    for picture in people.pictures:
        if picture.file and parts.setdefault(picture.file, picture.split) != picture.split:
            raise InputError(f"{people.name}: image {picture.file} has people in two splits")


def _read_h5(path: pathlib.Path, declared: str) -> People:
    """Arrays over people; image names as bytes or, in older files, as rows of character codes."""
    needed = ("imgname", "part", "visible", "center", "scale")
    with hdf5.open_file(path, "MPII people") as file:
        missing = [key for key in needed if key not in file]
        if missing:
            raise InputError(f"{path}: expected the arrays {', '.join(needed)}; {', '.join(missing)} missing")
        there = [key for key in (*needed, "normalize", "person") if key in file]
        arrays = {key: hdf5.read(file[key], f"{path}: {key}") for key in there}
    part = np.asarray(arrays["part"])
    if part.ndim != 3 or part.shape[1:] != (_JOINTS, 2):
        raise InputError(f"{path}: part must be N x 16 x 2, is {' x '.join(map(str, part.shape))}")
    for key, shape in (("visible", (_JOINTS,)), ("center", (2,)), ("scale", ()), ("normalize", ()), ("person", ())):
        value = np.asarray(arrays.get(key, np.zeros((len(part), *shape))))
        if value.shape != (len(part), *shape) or value.dtype.kind not in "iuf":
            raise InputError(f"{path}: {key} must be numbers for each of the {len(part)} people")
        if key == "person" and not np.isfinite(value).all():
            raise InputError(f"{path}: person of record {int(np.flatnonzero(~np.isfinite(value))[0])} is no number")
    names = _image_names(arrays["imgname"], str(path))
    if len(names) != len(part):
        raise InputError(f"{path}: imgname must have one name for each of the {len(part)} people")
    people = People("mpii16", str(path))
    numbers = {name: people.add_picture(Picture(file=name, split=declared)) for name in dict.fromkeys(names)}
    counted: dict[str, int] = {}
    for i, name in enumerate(names):
        scale = float(arrays["scale"][i]) / _H5_SCALE
        center = np.asarray(arrays["center"][i], np.float64) - (0.0, _H5_SHIFT * scale)
        counted[name] = counted.get(name, -1) + 1
        person = int(arrays["person"][i]) if "person" in arrays else counted[name]
        head = float(arrays["normalize"][i]) if "normalize" in arrays else np.nan
        head = head if 0 < head < np.inf else np.nan
        _add(people, numbers[name], person, part[i], arrays["visible"][i], center, scale, head)
    return people


def _image_names(values: np.ndarray, where: str) -> list[str]:
    values = np.asarray(values)
    if values.ndim == 2 and values.dtype.kind in "iuf":
        rows = np.clip(np.nan_to_num(values), 0, 255).astype(np.uint8)
        return [bytes(row).split(b"\0")[0].decode("latin1") for row in rows]
    return [inputs.text_of(value, f"{where}: imgname[{row}]") for row, value in enumerate(values.reshape(-1).tolist())]


def _read_mat(path: pathlib.Path, declared: str) -> People:
    """The release: annotated people of the training images."""
    release = _several(load_mat(path, "RELEASE"))
    annolist = _several(_field(release[0], "annolist")) if len(release) == 1 else []
    is_train = [value == 1 for value in _several(_field(release[0], "img_train"))] if annolist else []
    if not annolist or len(is_train) != len(annolist):
        raise InputError(f"{path}: expected the struct RELEASE with annolist and as many img_train")
    acts, videos = _several(_field(release[0], "act")), _several(_field(release[0], "video_list"))
    people = People("mpii16", str(path))
    for i, (image, train) in enumerate(zip(annolist, is_train)):
        rects = [rect for rect in _several(_field(image, "annorect")) if _points(rect)]
        if not train or not rects:
            continue
        file = _text(image, "image", "name")
        if not file:
            people.add_bad(people.add_picture(Picture(sequence=f"annolist {i + 1}")), 0, BAD_ENTRY)
            continue
        video = _number(image, "vidx")
        name = videos[int(video) - 1] if video is not None and 1 <= video <= len(videos) else ""
        picture = people.add_picture(
            Picture(
                file=file,
                split=labels.TRAIN,
                subject=name if isinstance(name, str) else "",
                action=_text(acts[i], "act_name") if len(acts) == len(annolist) else "",
            )
        )
        for person, rect in enumerate(rects):
            _add_rect(people, picture, person, rect)
    return people


def _add_rect(people: People, picture: int, person: int, rect: Any) -> None:
    """Adds one person of the .mat. UpperNeck and HeadTop carry no is_visible: their visibility is unknown."""
    points = np.full((_JOINTS, 2), np.nan)
    codes = np.full(_JOINTS, schema.UNKNOWN)
    for point in _points(rect):
        joint = _number(point, "id")
        place = labels.number_array_with_gaps([_coordinate(point, key) for key in ("x", "y")], 2)
        if joint is None or place is None or not 0 <= joint < _JOINTS or joint != int(joint):
            people.add_bad(picture, person, BAD_JOINTS)
            return
        if np.isnan(place).any():
            continue
        visible = _number(point, "is_visible")
        points[int(joint)] = place
        if visible is not None:
            codes[int(joint)] = schema.VISIBLE if visible else schema.OCCLUDED
    corners = labels.number_array([_number(rect, key) for key in ("x1", "y1", "x2", "y2")], 4)
    head = np.nan if corners is None else _HEAD_SHARE * float(np.hypot(*(corners[2:] - corners[:2])))
    center = [_number(_field(rect, "objpos"), key) for key in ("x", "y")]
    people.add(picture, person, points, codes, _box(center, _number(rect, "scale")), head)


def _points(rect: Any) -> list:
    return _several(_field(_field(rect, "annopoints"), "point"))


def _field(struct: Any, key: str) -> Any:
    """A field of a struct, or of an array of one struct; None when there is none."""
    if isinstance(struct, np.ndarray):
        struct = struct.reshape(-1)[0] if struct.size == 1 else None
    return struct.get(key) if isinstance(struct, dict) else None


def _several(value: Any) -> list:
    """The elements of an array."""
    return list(value.reshape(-1)) if isinstance(value, np.ndarray) else []


def _number(struct: Any, key: str) -> float | None:
    """A field as a number; MPII writes some as texts and leaves some empty."""
    value = _field(struct, key)
    try:
        return float(value if isinstance(value, str) else value.item())
    except (AttributeError, TypeError, ValueError):
        return None


def _coordinate(struct: Any, key: str) -> float:
    """A coordinate: NaN where it is left empty, infinite where it is no number."""
    value = _field(struct, key)
    if value is None or (isinstance(value, np.ndarray) and not value.size):
        return np.nan
    number = _number(struct, key)
    return np.inf if number is None else number


def _text(struct: Any, *path: str) -> str:
    """A field, or a field of a field, that is a text; '' when it is not."""
    for key in path:
        struct = _field(struct, key)
    return struct if isinstance(struct, str) else ""
