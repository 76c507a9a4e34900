"""From pictures to a file of people: order, identities, resumption and bad files, with a finder that sees colours."""

import os
import shutil
import zipfile

import cv2
import numpy as np
import pytest
from PIL import Image

from label_generator.labelling import (
    cameras,
    formats,
    inputs,
    people_file,
    photographs,
    picture_files,
    summaries,
    video_people,
)
from tests.label_generator.labelling.spots import BODY, RedSpots, column, find, picture
from tfrecords import schema
from tfrecords.formats import photographs as photograph_files
from tools.cli.errors import InputError
from tools.pose import joints


@pytest.mark.parametrize("threads", [1, 3])
def test_every_picture_has_rows_in_order(red_spots, folder, tmp_path, threads):
    people = find(folder, tmp_path / "out", threads=threads)
    assert people.files(0, len(people)) == ["a.png", "a.png", "b.png", "c.jpg", "more/d.png"]
    reasons = [people.reasons[code] for code in column(people, "reason")]
    assert reasons == ["", "", "nobody found", "image damaged", ""]
    assert column(people, "person").tolist() == [0, 1, -1, -1, 0]
    middles = column(people, "joints")[..., :2] - BODY
    np.testing.assert_allclose(middles[4], np.broadcast_to([60, 50], (33, 2)), atol=0.1)
    assert column(people, "image_size").tolist() == [[120, 80]] * 3 + [[-1, -1]] + [[120, 80]]


def test_hidden_landmarks_are_missing_joints(red_spots, folder, tmp_path):
    people = find(folder, tmp_path / "out")
    poses, provenance = people.poses(0, 1, 0.1)
    hidden = joints.POSE17.index("LKnee")
    assert provenance[0, hidden] == joints.MISSING
    assert np.isnan(poses[0, hidden]).all()
    assert (np.delete(provenance[0], hidden) != joints.MISSING).all()
    assert people.poses(0, 1, 0.01)[1][0, hidden] == joints.LABELLED


def test_infinite_landmarks_are_missing_joints(red_spots, folder, tmp_path):
    people = find(folder, tmp_path / "out")
    with np.load(people.path) as content:
        arrays = dict(content)
    elbow = joints.joint_set("mediapipe33").index("LElbow")
    row = int(np.flatnonzero(arrays["reason"] == 0)[0])
    before, _ = people.poses(row, row + 1, 0.1)
    arrays["joints"][row, elbow, 0] = -np.inf
    with zipfile.ZipFile(people.path, "w") as archive:  # np.savez takes no array named 'file'
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, values)
    poses, provenance = people_file.PeopleFile(people.path).poses(row, row + 1, 0.1)
    place = joints.POSE17.index("LElbow")
    assert np.isnan(poses[0, place]).all()
    assert provenance[0, place] == joints.MISSING
    others = np.delete(np.arange(17), place)
    np.testing.assert_array_equal(poses[0, others], before[0, others])


def test_turned_photographs_are_looked_at_upright(red_spots, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    stored = picture((20, 10))
    Image.fromarray(stored[..., ::-1]).save(tmp_path / "t.png", exif=exif)
    Image.fromarray(stored[..., ::-1]).save(tmp_path / "t.jpg", exif=exif, quality=95)
    people = find(tmp_path / "t.jpg", tmp_path / "out")
    assert column(people, "image_size").tolist() == [[80, 120]]
    # Stored (x, y) is upright (height - 1 - y, x).
    np.testing.assert_allclose((column(people, "joints")[0, :, :2] - BODY)[0], [80 - 1 - 10, 20], atol=1)
    record = next(people.records(np.array([0]), 0.1, True))
    pixels = cv2.imdecode(np.frombuffer(record.image, np.uint8), cv2.IMREAD_COLOR)
    assert pixels.shape == (120, 80, 3)
    np.testing.assert_allclose(RedSpots().find(pixels)[0].points[0] - BODY[0], [69, 20], atol=1.5)


def test_people_of_a_video_keep_their_numbers(red_spots, film, tmp_path):
    people = find(film, tmp_path / "out")
    frames, persons = column(people, "frame"), column(people, "person")
    assert np.unique(frames).tolist() == list(range(20))
    np.testing.assert_allclose(column(people, "seconds"), frames / 10, atol=1e-3)
    middles = (column(people, "joints")[..., :2] - BODY).mean(1)
    for person, path in enumerate([lambda t: 20 + 6 * t, lambda t: 180 - 6 * t]):
        mine = persons == person
        assert mine.sum() == (20 if person == 0 else 17)
        np.testing.assert_allclose(middles[mine, 0], path(frames[mine]), atol=2)


def test_a_link_to_nothing_is_one_unreadable_picture(red_spots, folder, tmp_path):
    (folder / "e.jpg").symlink_to("nowhere.jpg")
    people = find(folder, tmp_path / "out")
    assert people.files(0, len(people))[3:5] == ["c.jpg", "e.jpg"]
    assert people.reasons[column(people, "reason")[4]].startswith("image")
    assert column(people, "person").tolist() == [0, 1, -1, -1, -1, 0]


def test_landmarks_outside_the_picture_have_no_confidence(red_spots, tmp_path):
    cv2.imwrite(str(tmp_path / "edge.png"), picture((118, 40)))
    people = find(tmp_path / "edge.png", tmp_path / "out")
    joints_there = column(people, "joints")[0]
    outside = joints_there[:, 0] > 119 + 1.2
    assert 0 < outside.sum() < 33
    assert (joints_there[outside, 2] == 0).all()
    assert joints_there[~outside, 2].max() == np.float32(0.9)


def test_the_first_pictures_alone(red_spots, folder, film, tmp_path):
    shutil.move(film, folder / "b2.mp4")
    everyone = find(folder, tmp_path / "all")
    files = {place: picture_files.PictureFiles(str(folder)).frames(limit=place) for place in (0, 1, 9)}
    assert files == {0: 24, 1: 1, 9: 9}
    for limit in (1, 2, 9, 23, 100):
        people = find(folder, tmp_path / str(limit), limit=limit)
        pictures = column(everyone, "picture")
        some = pictures < limit
        assert len(people) == some.sum()
        for name in ("joints", "picture", "frame", "person", "reason"):
            np.testing.assert_array_equal(column(people, name), column(everyone, name)[some])
    with pytest.raises(InputError, match="people of another input, --detector, --every_seconds or --limit"):
        find(folder, tmp_path / "9", limit=10)


@pytest.fixture
def cut_film(tmp_path):
    """A film whose header announces 40 frames and whose file ends in the middle."""
    path = tmp_path / "cut.avi"
    film = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (208, 128))
    for frame in range(40):
        film.write(picture((20 + 4 * frame, 30), size=(128, 208)))
    film.release()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


@pytest.mark.parametrize("every_seconds", [0.0, 0.3])
def test_a_video_that_ends_before_its_announced_frames_says_so(red_spots, cut_film, tmp_path, every_seconds):
    people = find(cut_film, tmp_path / "out", every_seconds=every_seconds)
    last = column(people, "frame").max()
    ((name, decoded, announced),) = people.cut_videos
    assert (name, announced) == ("cut.avi", 40)
    step = max(1, round(10 * every_seconds))
    assert last < decoded <= last + step
    assert 15 <= decoded <= 22
    spec = inputs.Spec(str(people.path), "photographs")
    (line,) = summaries.cut_video_lines([video._asdict() for video in inputs.open_input(spec).cut_videos])
    assert f"cut.avi ends early: {decoded} of the 40 frames" in line


def test_a_video_that_announces_a_frame_too_many_is_whole(red_spots, film, tmp_path, monkeypatch):
    assert find(film, tmp_path / "out").cut_videos == []
    video = photograph_files.Video(film)
    assert len(list(video.photos())) == video.decoded == 20
    for announced, early in ((0, False), (22, False), (23, True)):
        video.count = announced
        assert video.ends_early == early


def test_every_seconds_takes_fewer_frames(red_spots, film, tmp_path):
    people = find(film, tmp_path / "out", every_seconds=0.5)
    assert np.unique(column(people, "frame")).tolist() == [0, 5, 10, 15]


def test_a_run_that_was_stopped_goes_on(red_spots, folder, tmp_path, monkeypatch):
    whole = find(folder, tmp_path / "whole")
    seen = []

    def stopping(finder, picture):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(picture.name)
        return of_photograph(finder, picture)

    of_photograph = photographs._of_photograph
    monkeypatch.setattr(photographs, "_of_photograph", stopping)
    with pytest.raises(KeyboardInterrupt):
        find(folder, tmp_path / "out", threads=1)
    assert not (tmp_path / "out" / photographs.NAME).exists()
    seen[:] = ["already"]
    monkeypatch.setattr(photographs, "_of_photograph", of_photograph)
    RedSpots.calls = 0
    again = find(folder, tmp_path / "out", threads=1)
    assert RedSpots.calls < 3
    for name in ("joints", "person", "picture", "reason"):
        np.testing.assert_array_equal(column(again, name), column(whole, name))
    RedSpots.calls = 0
    find(folder, tmp_path / "out")
    assert RedSpots.calls == 0  # taken as it is


def test_a_video_goes_on_with_new_numbers(red_spots, film, tmp_path, monkeypatch):
    read = video_people.Follower.find

    def stopping(follower, picture):
        if picture.number == 5:
            raise KeyboardInterrupt
        return read(follower, picture)

    monkeypatch.setattr(photographs, "_CHECKPOINT_PICTURES", 1)
    monkeypatch.setattr(video_people.Follower, "find", stopping)
    with pytest.raises(KeyboardInterrupt):
        find(film, tmp_path / "out")
    monkeypatch.setattr(video_people.Follower, "find", read)
    people = find(film, tmp_path / "out")
    frames, persons = column(people, "frame"), column(people, "person")
    assert np.unique(frames).tolist() == list(range(20))
    assert set(persons[frames < 5]) == {0, 1}
    assert set(persons[frames >= 5]) == {2, 3}


def test_people_of_another_input_are_not_taken(red_spots, folder, film, tmp_path):
    find(folder, tmp_path / "out")
    with pytest.raises(InputError, match="another input"):
        find(film, tmp_path / "out")
    assert len(find(film, tmp_path / "out", overwrite=True)) == 37


def test_patterns_and_folders(folder, tmp_path):
    files = picture_files.PictureFiles(str(folder / "*.png"))
    assert files.names == ["a.png", "b.png"]
    assert [path.exists() for path in files.paths] == [True, True]
    assert picture_files.PictureFiles(str(folder), folder / "more").names == ["a.png", "b.png", "c.jpg"]
    for bad in (folder / "*.gif", folder / "none.jpg"):
        with pytest.raises(InputError):
            picture_files.PictureFiles(str(bad))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no picture or video in it"):
        picture_files.PictureFiles(str(tmp_path / "empty"))


def test_a_pipe_is_no_picture(red_spots, tmp_path):
    place = tmp_path / "in"
    place.mkdir()
    os.mkfifo(place / "a.jpg")
    with pytest.raises(InputError, match="none of its 1 pictures can be read"):
        find(place, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("name", [b"\xff\xfe.png", b"\xff.mp4", b"folder \xe9/b.png"])
def test_names_that_are_not_unicode_are_skipped_by_name(red_spots, tmp_path, name):
    """Latin letters of an old archive, say: the other pictures are labelled, and the file says which one is not."""
    place = tmp_path / "in"
    place.mkdir()
    cv2.imwrite(str(place / "a.png"), picture((30, 40)))
    strange = os.path.join(os.fsencode(place), name)
    os.makedirs(os.path.dirname(strange), exist_ok=True)
    shutil.copy(place / "a.png", strange)
    people = find(place, tmp_path / "out")
    assert [people.reasons[code] for code in column(people, "reason")] == ["", "file name that is not Unicode text"]
    assert people.files(0, 2) == ["a.png", name.decode("utf-8", "backslashreplace")]
    assert len(find(place, tmp_path / "out")) == 2  # again: taken as it is
    kept = inputs.open_input(inputs.Spec(str(people.path), "photographs", images=""))
    assert [type(record).__name__ for record in kept.records(np.arange(2))] == ["PoseRecord", "Skip"]
    RedSpots.calls = 0
    with pytest.raises(InputError, match=r"not Unicode text, which no label can name; rename it"):
        find(os.fsdecode(strange), tmp_path / "single")
    assert not RedSpots.calls


@pytest.mark.parametrize("name", ["a.mp4", "a.jpg"])
def test_empty_files_are_one_line(red_spots, tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match=rf"{name}"):
        find(tmp_path / name, tmp_path / "out")


def test_formats_are_guessed(red_spots, folder, film, tmp_path):
    find(folder, tmp_path / "out")
    (folder / "annotation.json").write_text('{"images": [], "annotations": []}')
    for source in (folder, folder / "a.png", folder / "*.png", film, tmp_path / "out" / photographs.NAME):
        assert formats.guess_format(str(source)) == "photographs"


def test_rows_become_batches_and_records(red_spots, folder, tmp_path):
    find(folder, tmp_path / "out")
    spec = inputs.Spec(str(tmp_path / "out" / photographs.NAME), "photographs", min_confidence=0.1, images="")
    source = inputs.open_input(spec)
    batches = list(source.batches(0, 2))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert batches[1].skipped == {0: "nobody found", 1: "image damaged"}
    assert list(batches[0].image_size[0]) == [120, 80]
    records = list(source.records(np.arange(5)))
    assert [getattr(record, "person", None) for record in records] == [0, 1, None, None, 0]
    np.testing.assert_array_equal(records[4].pose_2d, batches[2].poses_2d[0])
    assert records[4].image_format == "jpeg"


def test_the_focal_length_of_exif_is_the_camera(red_spots, tmp_path):
    (tmp_path / "in").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    exif.get_ifd(0x8769)[0xA405] = 26
    stored = Image.fromarray(np.rot90(picture((30, 40), size=(400, 300))[..., ::-1]).copy())
    stored.save(tmp_path / "in" / "a.jpg", exif=exif, quality=95)
    cv2.imwrite(str(tmp_path / "in" / "b.jpg"), picture((30, 40), size=(400, 300)))
    find(tmp_path / "in", tmp_path / "out")
    source = inputs.open_input(inputs.Spec(str(tmp_path / "out" / photographs.NAME), "photographs", images="none"))
    (batch,) = source.batches(0, 10)
    focal = 500 * 26 / 43.267
    np.testing.assert_allclose(batch.intrinsics, [[focal, focal, 150, 200], [np.nan] * 4], rtol=1e-5)
    assert [schema.CAMERA_KINDS[kind] for kind in batch.camera_kind] == ["given", ""]
    first, second = source.records([0, 1])
    np.testing.assert_allclose(first.intrinsics, batch.intrinsics[0])
    assert (first.camera_kind, second.camera_kind) == ("given", "")
    _, intrinsics, kinds = cameras.parse_camera("auto", None).pinhole_views(batch, 0)
    np.testing.assert_allclose(intrinsics[:, 0], [focal, 500], rtol=1e-5)
    assert [schema.CAMERA_KINDS[kind] for kind in kinds] == ["given", "assumed"]
