"""COCO person key points: the JSON with `images` and `annotations`.

Many data sets come in this format: COCO, CrowdPose, PoseTrack, Halpe, COCO-WholeBody, Human3.6M. The file's
`categories` name its key points, and the names decide which joints they are, in whatever order they stand; only a file
that names none is taken for COCO's 17. Key points are (x, y, v): v 0 not labelled, 1 labelled and hidden, 2 visible;
one of which a number is NaN or null is not labelled. `bbox` is x, y, width, height in px. Files of videos (PoseTrack,
CocoVID) number people by `track_id` or `instance_id`; sequence, frame and identity are kept.
"""

from __future__ import annotations

import math
import pathlib
from typing import Any

import numpy as np

from tfrecords import schema
from tfrecords.conversion import labels
from tfrecords.conversion.detected import Persons, clip_and_frame, identity
from tfrecords.conversion.people import People, PeopleSource, Picture
from tfrecords.formats import images
from tfrecords.source import Info, Options
from tools.cli.errors import InputError
from tools.pose.joints import JOINT_SETS
from tools.pose.keypoint_names import Match, match_names

BAD_KEYPOINTS = "not a key point of three numbers for each name"
NO_IMAGE_ENTRY = "person of an image that is not listed"
CROWD = "crowd, not a person"
_IDENTITIES = ("track_id", "instance_id")  # PoseTrack's and mmdetection's, CocoVID's
# What a file without names is taken for.
_UNNAMED = Match("coco17", np.arange(JOINT_SETS["coco17"].size), (), JOINT_SETS["coco17"].size)
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
        match, categories = _person_categories(content.get("categories"), name)
        people = People(match.joint_set, name)
        identities = [identity(entry, *_IDENTITIES) for entry in content["annotations"]]
        people.tracked = max(identities, default=-1) >= 0
        videos = _video_names(content.get("videos"))
        numbers = {}
        files: dict[Any, str] = {}
        for entry in content["images"]:
            if isinstance(entry, dict) and isinstance(entry.get("file_name"), str):
                key = _key(entry.get("id"))
                if key is not None and files.setdefault(key, entry["file_name"]) != entry["file_name"]:
                    raise InputError(
                        f"{name}: the images {files[key]} and {entry['file_name']} have one id, {str(key)[:40]}; "
                        "number them anew, and their annotations with them"
                    )
                picture = people.add_picture(self._picture(entry, people.tracked, videos))
                if key is not None:
                    numbers[key] = picture
        unlisted = None
        persons = Persons(identities)
        for entry, known in zip(content["annotations"], identities):
            if not isinstance(entry, dict) or (categories and _key(entry.get("category_id")) not in categories):
                continue
            found = numbers.get(_key(entry.get("image_id")))
            if found is None:
                unlisted = people.add_picture(Picture(sequence="unlisted")) if unlisted is None else unlisted
                people.add_bad(unlisted, 0, NO_IMAGE_ENTRY, f"image_id {str(entry.get('image_id'))[:40]}")
                continue
            self._add(people, found, persons.number(found, known), entry, match)
        return people

    def _picture(self, entry: dict, tracked: bool, videos: dict[Any, str]) -> Picture:
        size = labels.number_array([entry.get("width"), entry.get("height")], 2)
        file = entry["file_name"]
        clip, frame = _clip_and_frame(entry, videos) if tracked else ("", -1)
        return Picture(
            file=file,
            subject=clip,
            sequence=clip,
            frame=frame,
            split=self._part(clip or pathlib.PurePath(file).name),
            size=(-1, -1) if size is None else (int(size[0]), int(size[1])),
            number=_number(entry.get("id")),
        )

    def _add(self, people: People, picture: int, person: int, entry: dict, match: Match) -> None:
        number = _number(entry.get("id"))
        if entry.get("iscrowd") in (1, True):
            people.add_bad(picture, person, CROWD, number=number)
            return
        numbers = labels.number_array_with_gaps(entry.get("keypoints"), 3 * match.count)
        table = None if numbers is None else numbers.reshape(match.count, 3)
        if table is not None:
            table[np.isnan(table).any(1)] = 0
        if table is None or not np.isin(table[:, 2], (0, 1, 2)).all():
            people.add_bad(picture, person, BAD_KEYPOINTS, number=number)
            return
        keypoints = match.select(table)
        points, visibility = keypoints[:, :2], keypoints[:, 2].astype(int)
        box = labels.number_array(entry.get("bbox"), 4)
        usable = box is not None and (box[2:] > 0).all()
        people.add(
            picture,
            person,
            np.where(visibility[:, None] > 0, points, np.nan),
            _CODES[visibility],
            box if usable else None,
            number=number,
        )


def _video_names(videos: Any) -> dict[Any, str]:
    """id -> name of the videos that a file lists, as CocoVID does."""
    entries = [entry for entry in videos if isinstance(entry, dict)] if isinstance(videos, list) else []
    return {_key(entry.get("id")): entry["name"] for entry in entries if isinstance(entry.get("name"), str)}


def _clip_and_frame(entry: dict, videos: dict[Any, str]) -> tuple[str, int]:
    """(sequence, frame) of an image of a video, ('', -1) where nothing tells the frame.

    By `video_id` and `frame_id`; by `vid_id` and the picture's name (PoseTrack, whose `frame_id` counts through all
    videos); or by the name alone.
    """
    title, number = clip_and_frame(entry["file_name"])
    video = _key(entry.get("video_id", entry.get("vid_id")))
    frame = _number(entry.get("frame_id"))
    frame = number if frame < 0 or (number >= 0 and "video_id" not in entry) else frame
    clip = videos.get(video, title if video is None else str(video))
    return (clip or "video", frame) if frame >= 0 else ("", -1)


def _key(value: Any) -> Any:
    """An id as something that can be looked up; ids are numbers (1.0 is 1) or texts."""
    usable = isinstance(value, (int, str)) or (isinstance(value, float) and math.isfinite(value))
    return value if usable and not isinstance(value, bool) else None


def _number(value: Any) -> int:
    """An id that is a whole number as one; -1 for texts and nothing."""
    value = int(value) if isinstance(value, float) and value.is_integer() else value
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62 else -1


def _person_categories(categories: Any, name: str) -> tuple[Match, set]:
    """Which key points people have, and the ids of the categories that are people (empty: every annotation is one).

    Raises:
      InputError: no category is a person, or its key points are no joint set by their names.
    """
    entries = [entry for entry in categories if isinstance(entry, dict)] if isinstance(categories, list) else []
    named = [entry for entry in entries if isinstance(entry.get("keypoints"), list) and entry["keypoints"]]
    if not named:
        people = {_key(entry.get("id")) for entry in entries if _is_person(entry)}
        if entries and not people:
            titles = ", ".join(str(entry.get("name"))[:40] for entry in entries[:5])
            raise InputError(f"{name}: its categories are {titles}; expected one of people")
        return _UNNAMED, people
    matches: dict[Any, Match] = {}
    problems = []
    for entry in named:
        title = str(entry.get("name", ""))[:40]
        try:
            matches[_key(entry.get("id"))] = match_names(
                entry["keypoints"], f"{name}: key points of category '{title}'"
            )
        except InputError as error:
            if _is_person(entry):
                raise
            problems.append(error)  # an animal beside people is passed over
    if not matches:
        raise problems[0]
    first = next(iter(matches.values()))
    for other in matches.values():
        if other.joint_set != first.joint_set or not np.array_equal(other.columns, first.columns):
            raise InputError(f"{name}: categories of people with different key points; split the file by category")
    return first, set(matches)


def _is_person(category: dict) -> bool:
    """Whether a category calls itself people, or nothing."""
    title = str(category.get("name") or "").lower()
    return not title or any(word in title for word in ("person", "people", "human", "body", "pedestrian"))
