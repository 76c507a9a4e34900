"""AIChallenger human key points: a JSON list of images with the boxes and the 14 joints of their people.

Each image has `image_id` (the file name without suffix), `human_annotations` {human: [x1, y1, x2, y2]} and
`keypoint_annotations` {human: 14 x (x, y, v)}: v 1 visible, 2 occluded, 3 not labelled.
"""

from __future__ import annotations

import pathlib

import numpy as np

from tfrecords import schema
from tfrecords.conversion import labels
from tfrecords.conversion.people import People, PeopleSource, Picture
from tfrecords.formats import images
from tfrecords.source import Info, Options
from tools.cli.errors import InputError

BAD_JOINTS = "not 14 joints of three numbers"
BAD_ENTRY = "image without image_id and keypoint_annotations"
_JOINTS = 14
# v -> code of the schema; 0 occurs in no release
_CODES = np.array([schema.UNKNOWN, schema.VISIBLE, schema.OCCLUDED, schema.UNKNOWN], np.uint8)
_NOT_LABELLED = 3


class AIChallenger(PeopleSource):
    """People of an AIChallenger key point file, image by image.

    The file's name tells the split (``keypoint_train_annotations_...``); of a file whose name tells none, one image in
    ten is 'val', chosen by the image's name.
    """

    info = Info(
        name="aichallenger",
        description="AIChallenger human key points: 2D poses with images",
        input="the key point JSON (may be gzipped); its images beside it or by --images",
        licence="terms of the AI Challenger competition: research, not for commercial use",
        citation="Wu et al.: Large-scale Datasets for Going Deeper in Image Understanding, ICME 2019",
        splits=(labels.ALL, labels.TRAIN, labels.VAL, labels.TEST),
        images=True,
    )

    def __init__(self, path: pathlib.Path, options: Options):
        """Raises `InputError` without such a file, without its images, or when its name tells another split."""
        super().__init__(path, options)
        labels.check_file(self.path, self.info.input)
        self._declare_part()
        folder = self.path.parent
        released = sorted(folder.glob("keypoint_*_images*")) if not options.images else []
        if self._declared:
            # validation is spelt out in the release: keypoint_validation_images_20170911
            released = [place for place in released if labels.declared_part(place.name) == self._declared]
        self._pictures = images.open_pictures(options, [folder / "images", *released, folder])

    def _read(self) -> People:
        name = str(self.path)
        content = labels.parse_json(labels.read_file(self.path), name)
        if not isinstance(content, list):
            raise InputError(f"{name}: expected AIChallenger key points, a list of images")
        people = People("aichallenger14", name)
        for number, entry in enumerate(content):
            self._add_image(people, number, entry)
        return people

    def _add_image(self, people: People, number: int, entry: object) -> None:
        entry = entry if isinstance(entry, dict) else {}
        image_id, humans = entry.get("image_id"), entry.get("keypoint_annotations")
        if not isinstance(image_id, str) or not isinstance(humans, dict):
            people.add_bad(people.add_picture(Picture(sequence=f"image {number}")), 0, BAD_ENTRY)
            return
        file = image_id if image_id.lower().endswith(images.SUFFIXES) else image_id + ".jpg"
        picture = people.add_picture(Picture(file=file, split=self._part(image_id)))
        boxes = entry.get("human_annotations")
        for person, (human, joints) in enumerate(sorted(humans.items(), key=lambda item: _natural(item[0]))):
            numbers = labels.number_array_with_gaps(joints, 3 * _JOINTS)
            if numbers is not None:
                numbers.reshape(_JOINTS, 3)[np.isnan(numbers.reshape(_JOINTS, 3)).any(1)] = 0
            if numbers is None or not np.isin(numbers[2::3], (0, 1, 2, 3)).all():
                people.add_bad(picture, person, BAD_JOINTS, str(human)[:40])
                continue
            points, codes = numbers.reshape(_JOINTS, 3)[:, :2], numbers[2::3].astype(int)
            labelled = (codes != _NOT_LABELLED) & (codes != 0)
            corners = labels.number_array(boxes.get(human) if isinstance(boxes, dict) else None, 4)
            box = None
            if corners is not None and (corners[2:] > corners[:2]).all():
                box = np.concatenate([corners[:2], corners[2:] - corners[:2]])
            people.add(picture, person, np.where(labelled[:, None], points, np.nan), _CODES[codes], box)


def _natural(human: str) -> tuple[int, str]:
    """human2 before human10."""
    return len(human), human
