"""From pictures to a file of people: order, identities, resumption and bad files, with a finder that sees colours."""

import hashlib
import importlib.util
import json
import os
import shutil
import zipfile

import cv2
import numpy as np
import pytest
from PIL import Image

from label_generator import generate
from label_generator.gallery import page
from label_generator.labelling import (
    cameras,
    formats,
    inputs,
    overlays,
    people_file,
    photographs,
    picture_files,
    summaries,
)
from tfrecords import reader
from tfrecords.formats import photographs as photograph_files
from tools.cli.errors import InputError
from tools.detection import people as people_module
from tools.detection.people import Person
from tools.detection.regions import Region
from tools.drawing import animation, drawing
from tools.pose import joints
from tools.review_page import pictures as review_pictures
from tools.review_page.label_columns import LabelColumns

BODY = np.random.default_rng(0).uniform(-20, 20, (33, 2))


class RedSpots:
    """Sees a person around the middle of each red spot; what it saw is known from the picture."""

    calls = 0

    def __init__(self, settings=None, threads=1):
        pass

    def find(self, picture):
        RedSpots.calls += 1
        mask = ((picture[..., 2] > 180) & (picture[..., 1] < 90)).astype(np.uint8)
        _, _, stats, centres = cv2.connectedComponentsWithStats(mask)
        found = []
        for x, y in centres[1:][stats[1:, cv2.CC_STAT_AREA] > 20]:  # smaller ones are the codec's
            points = BODY + [x, y]
            visibility = np.where(np.arange(33) == 25, 0.05, 0.9)  # one knee is hidden
            found.append(Person(points, visibility, np.ones(33), np.zeros((33, 3)), 0.9, 0.8, 0.7, Region(x, y, 50)))
        return found

    def follow(self, picture, known, detect):
        return self.find(picture)


@pytest.fixture
def red_spots(monkeypatch):
    monkeypatch.setattr(people_module, "PeopleFinder", RedSpots)
    monkeypatch.setattr("tools.detection.mediapipe_models.model_file", lambda name: "")


def picture(*spots, size=(80, 120)):
    pixels = np.full((*size, 3), 120, np.uint8)
    for x, y in spots:
        cv2.circle(pixels, (x, y), 5, (0, 0, 255), -1)
    return pixels


def find(source, output, **options):
    output.mkdir(exist_ok=True)
    return people_file.PeopleFile(photographs.find_people(photographs.Request(str(source), output, **options)))


def column(people, name):
    return people.read(name, 0, len(people))


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "in"
    (place / "more").mkdir(parents=True)
    cv2.imwrite(str(place / "a.png"), picture((30, 40), (90, 30)))
    cv2.imwrite(str(place / "b.png"), picture())
    (place / "c.jpg").write_bytes(b"\xff\xd8 not a picture")
    cv2.imwrite(str(place / "more" / "d.png"), picture((60, 50)))
    return place


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


@pytest.fixture
def film(tmp_path):
    """Two people who walk past each other in 20 frames; in frames 8 to 10 only one is there."""
    frames = []
    for frame in range(20):
        spots = [(20 + 6 * frame, 30), (180 - 6 * frame, 90)]
        frames.append(picture(*(spots[:1] if 8 <= frame <= 10 else spots), size=(128, 208)))
    return animation.write_animation(tmp_path / "walk.mp4", frames, fps=10)


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
    read = photographs._Follower.find

    def stopping(follower, picture):
        if picture.number == 5:
            raise KeyboardInterrupt
        return read(follower, picture)

    monkeypatch.setattr(photographs, "_CHECKPOINT_PICTURES", 1)
    monkeypatch.setattr(photographs._Follower, "find", stopping)
    with pytest.raises(KeyboardInterrupt):
        find(film, tmp_path / "out")
    monkeypatch.setattr(photographs._Follower, "find", read)
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
    assert [inputs.CAMERA_KINDS[kind] for kind in batch.camera_kind] == ["given", ""]
    first, second = source.records([0, 1])
    np.testing.assert_allclose(first.intrinsics, batch.intrinsics[0])
    assert (first.camera_kind, second.camera_kind) == ("given", "")
    _, intrinsics, kinds = cameras.parse_camera("auto", None).pinhole_views(batch, 0)
    np.testing.assert_allclose(intrinsics[:, 0], [focal, 500], rtol=1e-5)
    assert [inputs.CAMERA_KINDS[kind] for kind in kinds] == ["given", "assumed"]


def labels_of(output):
    with np.load(output / "labels.npz") as content:
        return {name: content[name] for name in content.files}


def test_generate_labels_and_draws_photographs(red_spots, folder, tmp_path, run_command, canonical_weights, capsys):
    output = tmp_path / "labels"
    weights = f"--weights={canonical_weights / 'left2right'},{canonical_weights / 'pose3d'}"
    assert run_command(generate, f"--input={folder}", f"--output={output}", weights, "--tfrecords") == 0
    told = capsys.readouterr().out
    assert told.startswith(f"input: {folder}, 3 people in 4 pictures, in {output / 'people.npz'}\n")
    assert "3 labels for 3 people in 4 pictures" in told
    assert "\n1 picture could not be read: c.jpg (image damaged)\n1 picture without people\n" in told
    assert "without label" not in told
    pictures = json.loads((output / "summary.json").read_text())["pictures"]
    assert pictures["unreadable_files"] == {"c.jpg": "image damaged"}
    assert (pictures["pictures"], pictures["people"], pictures["without_people"], pictures["unreadable"]) == (
        4,
        3,
        1,
        1,
    )
    labels = labels_of(output)
    assert labels["person"].tolist() == [0, 1, -1, -1, 0]
    assert np.isfinite(labels["poses_3d"][[0, 1, 4]]).all()
    drawn = {path.relative_to(output).as_posix() for path in (output / "overlays").rglob("*.png")}
    assert drawn == {"overlays/a.png", "overlays/b.png", "overlays/more/d.png"}
    # Nobody is labelled in b: the picture as it is, and words instead of 3D.
    nobody = cv2.imread(str(output / "overlays" / "b.png"))
    assert (nobody[:, :1080] == 120).all()
    assert 0.002 < (nobody[:, 1080:] < 100).mean() < 0.1
    shown = cv2.imread(str(output / "overlays" / "a.png"))
    # The photograph, three wide to two high, and a square of its height beside it.
    assert shown.shape == (720, 1080 + 720, 3)
    left, right = shown[:, :1080], shown[:, 1080:]
    # The grey of the photograph is still there, and limbs have been drawn around both spots and in the room.
    assert (np.abs(left.astype(int) - 120).max(-1) < 4).mean() > 0.5
    for x in (30, 90):
        part = left[:, 9 * x - 150 : 9 * x + 150]
        assert (np.ptp(part, axis=-1) > 60).mean() > 0.02
    assert (np.ptp(right, axis=-1) > 60).mean() > 0.002
    records = reader.find(str(output / "tfrecords"))
    assert len(records) == 3
    captions = [shown.caption for shown in page.labelled(output, 4)]
    assert [caption.split(": ")[:2] for caption in captions[:3]] == [
        ["a.png", f"quality {labels['quality'][0]:.2f}"],
        ["a.png", f"quality {labels['quality'][1]:.2f}"],
        ["b.png", "no label"],
    ]
    # A reviewer sees the picture in which nobody was found, too.
    reviewed = review_pictures.Photographs(LabelColumns(output), "")
    assert reviewed.message == f"pictures: those of {folder}"
    seen = list(reviewed)
    assert [data is not None for data in seen] == [True, True, True, False, True]
    assert seen[0] is seen[1]
    shown_to_reviewer = cv2.imdecode(np.frombuffer(seen[2], np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(shown_to_reviewer.astype(int) - cv2.imread(str(folder / "b.png"))).max() < 8
    cell = page.sheet(page.labelled(output, 4), columns=1)
    assert cell.shape[0] > 4 * 300


def test_people_without_a_label_are_drawn_in_grey_and_say_so():
    pose = np.stack([np.linspace(20, 90, 17), np.linspace(10, 70, 17)], -1)[None]
    others = overlays.WithoutLabel(
        pose, np.full((1, 17), joints.LABELLED), ["4: no label"], ["person 4: no depth fits"]
    )
    photo = photograph_files.Photo("a.jpg", picture())
    nothing = np.zeros((0, 17, 3))
    drawn = overlays.Drawn("a.png", photo, nothing[..., :2], nothing[..., 0], nothing, [], others)
    shown = overlays.panel(drawn, 240)[:, :360]
    spots = np.rint((pose[0] + 0.5) * 3 - 0.5).astype(int)
    colours = shown[spots[:, 1], spots[:, 0]].astype(int)
    assert (np.abs(colours - drawing.GHOST_COLOUR) <= 2).all()


def test_generate_films_a_video(red_spots, film, tmp_path, run_command, canonical_weights):
    output = tmp_path / "labels"
    weights = f"--weights={canonical_weights / 'left2right'},{canonical_weights / 'pose3d'}"
    assert run_command(generate, f"--input={film}", f"--output={output}", weights) == 0
    labels = labels_of(output)
    assert set(labels["person"]) == {0, 1}
    assert labels["files"][labels["file"]].tolist() == ["walk.mp4"] * 37
    video = photograph_files.Video(output / "overlays" / "walk.mp4")
    assert video.count == 20
    assert video.fps == pytest.approx(10, abs=0.01)
    assert (video.height, video.width) == (480, 780 + 480)
    # Lifted again from the people alone, to the same labels.
    again = tmp_path / "again"
    people = output / photographs.NAME
    assert run_command(generate, f"--input={people}", f"--output={again}", weights, "--nooverlays") == 0
    np.testing.assert_array_equal(labels_of(again)["poses_3d"], labels["poses_3d"])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda place: (place / "a.jpg").write_bytes(b"\xff\xd8\xff no picture"), ["a.jpg", "can be read"]),
        (lambda place: (place / "a.jpg").write_bytes(b""), ["a.jpg", "can be read"]),
        (lambda place: (place / "a.mp4").write_bytes(b""), ["a.mp4: not a video"]),
        (lambda place: os.mkfifo(place / "a.jpg"), ["a.jpg", "can be read"]),
        (lambda place: os.mkfifo(place / "a.mp4"), ["a.mp4: is a named pipe, expected a file"]),
        (lambda place: (place / "a.jpg").mkdir(), ["no pictures"]),
    ],
)
def test_bad_pictures_are_one_line_and_leave_nothing(
    red_spots, make, words, tmp_path, run_command, assert_error, capsys
):
    place = tmp_path / "in"
    place.mkdir()
    make(place)
    source = next(place.iterdir())
    assert run_command(generate, f"--input={source}", f"--output={tmp_path / 'out'}") == 2
    assert_error(*words)
    assert not (tmp_path / "out").exists()


def test_without_models_one_line_says_how_to_get_them(folder, tmp_path, run_command, assert_error, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert run_command(generate, f"--input={folder}", f"--output={tmp_path / 'out'}") == 2
    assert_error("pip install --no-deps mediapipe==")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("dry", [[], ["--dry_run"]], ids=["run", "dry"])
def test_a_head_that_is_damaged_or_missing_is_one_line_before_the_work(
    red_spots, folder, tmp_path, run_command, assert_error, monkeypatch, dry
):
    arguments = [f"--input={folder}", f"--output={tmp_path / 'out'}", *dry]
    assert run_command(generate, *arguments, f"--body_head={tmp_path / 'none'}") == 2
    assert_error("none: no such file", "expected a folder with body_head.tflite")
    assert run_command(generate, *arguments, "--detector=mediapipe_only", "--body_head=own") == 2
    assert_error("--body_head=own: goes with --detector=mediapipe")
    (tmp_path / "body_head.tflite").write_bytes(b"damaged")
    monkeypatch.setattr("tools.detection.body_head.WEIGHTS", tmp_path / "body_head.tflite")
    assert run_command(generate, *arguments) == 2
    assert_error(
        "missing, damaged, or not the file that body_head.sha256 names; --detector=mediapipe_only does without"
    )
    assert not (tmp_path / "out").exists()
    if dry:
        assert run_command(generate, *arguments, "--detector=mediapipe_only") == 0


def test_people_of_another_head_are_not_taken(red_spots, folder, tmp_path, monkeypatch):
    from tools.detection import body_head

    own = tmp_path / "own" / "body_head.tflite"
    own.parent.mkdir()
    own.write_bytes(b"another head")
    own.with_suffix(".sha256").write_text(hashlib.sha256(b"another head").hexdigest())
    monkeypatch.setattr(body_head, "_runs", lambda path, actual: True)
    output = tmp_path / "out"
    find(folder, output)
    with pytest.raises(InputError, match="people of another input or detector"):
        find(folder, output, body_head=str(own.parent))
    # The place of a head is no matter.
    (tmp_path / "copy").mkdir()
    for path in (body_head.WEIGHTS, body_head.CHECKSUM):
        (tmp_path / "copy" / path.name).write_bytes(path.read_bytes())
    before = RedSpots.calls
    find(folder, output, body_head=str(tmp_path / "copy"))
    assert RedSpots.calls == before
