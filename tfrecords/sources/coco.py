"""COCO person key points: the JSON with `images` and `annotations`, 17 key points a person.

Many tools write this format, so the file's own `categories` are asked whether its key points are COCO's 17.
Key points are (x, y, v): v 0 not labelled, 1 labelled and hidden, 2 visible. `bbox` is x, y, width, height in px.
"""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from tfrecords import schema
from tfrecords.conversion import labels
from tfrecords.conversion.people import People, PeopleSource, Picture
from tfrecords.formats import images
from tfrecords.source import Info, Options
from tools.cli.errors import InputError

BAD_KEYPOINTS = "not 17 key points of three numbers"
NO_IMAGE_ENTRY = "person of an image that is not listed"
CROWD = "crowd, not a person"
_KEYPOINTS = 17
# v -> code of the schema
_CODES = np.array([schema.UNKNOWN, schema.OCCLUDED, schema.VISIBLE], np.uint8)


class Coco(PeopleSource):
    """People of a COCO key point file, image by image.

    The file's name tells the split (``..._train2017.json``); of a file whose name tells none, one image in ten is
    'val', chosen by the image's name. People without a labelled key point and crowds are skipped.
    """

    info = Info(
        name="coco",
        description="COCO person key points, and other data in its format: 2D poses with images",
        input="the key point JSON (may be gzipped); its images beside it or by --images",
        licence="COCO: annotations CC BY 4.0, photographs under their authors' Flickr licences",
        citation="Lin et al.: Microsoft COCO: Common Objects in Context, ECCV 2014",
        splits=(labels.ALL, labels.TRAIN, labels.VAL, labels.TEST),
        images=True,
    )

    def __init__(self, path: pathlib.Path, options: Options):
        """Raises `InputError` without such a file, without its images, or when its name tells another split."""
        super().__init__(path, options)
        labels.check_file(self.path, self.info.input)
        self._declare_part()
        folder = self.path.parent
        # person_keypoints_val2017.json lies in annotations/, its images in val2017/ beside that folder.
        named = self.path.name.split(".")[0].split("_")[-1]
        implied = [folder / "images", folder / named, folder.parent / named, folder.parent / "images" / named, folder]
        self._pictures = images.open_pictures(options, implied)

    def _read(self) -> People:
        name = str(self.path)
        content = labels.parse_json(labels.read_file(self.path), name, drop=("segmentation",))
        if not isinstance(content, dict) or not all(
            isinstance(content.get(k), list) for k in ("images", "annotations")
        ):
            raise InputError(f"{name}: expected COCO key points, an object with the lists 'images' and 'annotations'")
        categories = _person_categories(content.get("categories"), name)
        people = People("coco17", name)
        numbers = {}
        for entry in content["images"]:
            if isinstance(entry, dict) and isinstance(entry.get("file_name"), str):
                numbers[_key(entry.get("id"))] = people.add_picture(self._picture(entry))
        unlisted = None
        seen: dict[int, int] = {}
        for entry in content["annotations"]:
            if not isinstance(entry, dict) or (categories and _key(entry.get("category_id")) not in categories):
                continue
            picture = numbers.get(_key(entry.get("image_id")))
            if picture is None:
                unlisted = people.add_picture(Picture(sequence="unlisted")) if unlisted is None else unlisted
                people.add_bad(unlisted, 0, NO_IMAGE_ENTRY, f"image_id {str(entry.get('image_id'))[:40]}")
                continue
            person = seen.get(picture, 0)
            seen[picture] = person + 1
            self._add(people, picture, person, entry)
        return people

    def _picture(self, entry: dict) -> Picture:
        size = labels.number_array([entry.get("width"), entry.get("height")], 2)
        file = entry["file_name"]
        return Picture(
            file=file,
            split=self._part(pathlib.PurePath(file).name),
            size=(-1, -1) if size is None else (int(size[0]), int(size[1])),
        )

    def _add(self, people: People, picture: int, person: int, entry: dict) -> None:
        if entry.get("iscrowd") in (1, True):
            people.add_bad(picture, person, CROWD)
            return
        numbers = labels.number_array(entry.get("keypoints"), 3 * _KEYPOINTS)
        if numbers is None or not np.isin(numbers[2::3], (0, 1, 2)).all():
            people.add_bad(picture, person, BAD_KEYPOINTS)
            return
        points, seen = numbers.reshape(_KEYPOINTS, 3)[:, :2], numbers[2::3].astype(int)
        box = labels.number_array(entry.get("bbox"), 4)
        usable = box is not None and (box[2:] > 0).all()
        people.add(
            picture,
            person,
            np.where(seen[:, None] > 0, points, np.nan),
            _CODES[seen],
            *([box] if usable else []),
        )


def _key(value: Any) -> Any:
    """An id as something that can be looked up; ids are numbers or texts."""
    return value if isinstance(value, (int, str)) else None


def _person_categories(categories: Any, name: str) -> set:
    """Ids of the categories that have key points; raises `InputError` when these are not COCO's 17."""
    found = set()
    for entry in categories if isinstance(categories, list) else []:
        keypoints = entry.get("keypoints") if isinstance(entry, dict) else None
        if not isinstance(keypoints, list):
            continue
        if len(keypoints) != _KEYPOINTS:
            raise InputError(
                f"{name}: category {entry.get('name')} has {len(keypoints)} key points, expected COCO's 17"
            )
        found.add(_key(entry.get("id")))
    return found
