import cv2
import numpy as np
import pytest
from PIL import Image

from tools.cli.errors import InputError
from tools.drawing import animation

POSE = np.random.default_rng(3).normal(0, 300, (17, 3))


def frames_of(path):
    """The film as other programs see it: Pillow for GIF, OpenCV for MP4."""
    if path.suffix == ".gif":
        with Image.open(path) as film:
            frames = []
            for n in range(film.n_frames):
                film.seek(n)
                frames.append(np.asarray(film.convert("RGB"))[..., ::-1])
            return frames
    film, frames = cv2.VideoCapture(str(path)), []
    while True:
        there, frame = film.read()
        if not there:
            return frames
        frames.append(frame)


@pytest.mark.parametrize("ending", ["gif", "mp4"])
def test_a_film_reads_back_with_its_frames_and_size(tmp_path, ending):
    frames = list(animation.rotation_frames(POSE, frames=12, size=(160, 120)))
    path = animation.write_animation(tmp_path / f"film.{ending}", frames, fps=20)
    back = frames_of(path)
    assert [frame.shape for frame in back] == [(120, 160, 3)] * 12
    for frame, seen in zip(frames, back):
        assert np.abs(frame.astype(int) - seen).mean() < 6  # the codec's colours are a few steps off
    assert all(np.abs(a.astype(int) - b).mean() > 1 for a, b in zip(back, back[1:]))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_gif_keeps_its_time_its_white_and_repeats(tmp_path):
    path = animation.write_animation(
        tmp_path / "a.gif", animation.rotation_frames(POSE, frames=3, size=(80, 80)), fps=25
    )
    with Image.open(path) as film:
        assert film.info["duration"] == 40
        assert film.info["loop"] == 0
        assert film.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def test_an_mp4_of_odd_size_is_extended(tmp_path):
    frames = [np.full((61, 75, 3), 30 * n, np.uint8) for n in range(4)]
    back = frames_of(animation.write_animation(tmp_path / "odd.mp4", frames))
    assert [frame.shape for frame in back] == [(62, 76, 3)] * 4
    assert all(np.abs(frame.astype(int) - 30 * n).max() < 12 for n, frame in enumerate(back))


def test_a_full_turn_comes_back_and_a_photograph_is_always_seen():
    turn = list(animation.rotation_frames(POSE, frames=8, size=(96, 96)))
    first = next(iter(animation.rotation_frames(POSE, frames=1, size=(96, 96))))
    step = np.abs(turn[1].astype(int) - turn[0]).mean()
    assert np.abs(turn[-1].astype(int) - turn[0]).mean() < 3 * step
    assert first.shape == turn[0].shape
    photograph = np.full((40, 60, 3), (0, 220, 0), np.uint8)
    for frame in animation.rotation_frames(POSE, photograph, frames=8, size=(96, 96)):
        assert (frame == (0, 220, 0)).all(-1).sum() > 300


def test_a_motion_shows_each_of_its_poses():
    motion = POSE + np.linspace(0, 900, 6)[:, None, None] * [1, 0, 0]
    frames = list(animation.rotation_frames(motion, size=(200, 100), swing=0, elevation=0, ghost=motion[0]))
    assert len(frames) == 6
    places = [np.nonzero(np.ptp(frame.astype(int), axis=2) > 60)[1].mean() for frame in frames]
    assert (np.diff(places) > 4).all()


@pytest.mark.parametrize(
    ("name", "frames", "fps", "message"),
    [
        ("film.avi", [np.zeros((8, 8, 3), np.uint8)], 10, r"\.gif or \.mp4"),
        ("film.gif", [], 10, "at least one frame"),
        ("film.mp4", [], 10, "at least one frame"),
        ("film.gif", [np.zeros((8, 8, 3), np.uint8)], 0, "frames per second"),
        ("film.mp4", [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 10, 3), np.uint8)], 10, "frame 1 is"),
        ("film.gif", [np.zeros((8, 8), np.uint8)], 10, "image: "),
        ("absent/film.mp4", [np.zeros((8, 8, 3), np.uint8)], 10, "folder"),
    ],
)
def test_bad_films_are_refused_and_leave_nothing(tmp_path, name, frames, fps, message):
    with pytest.raises(InputError, match=message):
        animation.write_animation(tmp_path / name, frames, fps)
    assert list(tmp_path.iterdir()) == []


def test_a_film_is_replaced_only_when_asked(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(b"mine")
    frames = [np.zeros((16, 16, 3), np.uint8)]
    with pytest.raises(InputError, match="exists already"):
        animation.write_animation(path, frames)
    assert path.read_bytes() == b"mine"
    animation.write_animation(path, frames, overwrite=True)
    assert len(frames_of(path)) == 1


def test_a_codec_that_does_not_open_is_said(tmp_path, monkeypatch):
    class Closed:
        def __init__(self, *_):
            pass

        def isOpened(self):
            return False

        def release(self):
            pass

    monkeypatch.setattr(cv2, "VideoWriter", Closed)
    with pytest.raises(InputError, match="codec"):
        animation.write_animation(tmp_path / "film.mp4", [np.zeros((16, 16, 3), np.uint8)])
    assert list(tmp_path.iterdir()) == []


def test_bad_motions_are_refused():
    with pytest.raises(InputError, match="at least one"):
        next(animation.rotation_frames(POSE, frames=0))
    with pytest.raises(InputError, match="compare"):
        next(animation.rotation_frames(np.stack([POSE] * 4), ghost=np.stack([POSE] * 3)))
