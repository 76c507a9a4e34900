"""Pictures of every kind come out upright and as BGR; what is none is told."""

import io
import resource
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from tfrecords.formats import images, photographs
from tfrecords.source import Skip
from tools.cli.errors import InputError
from tools.drawing import animation
from tools.files import limits


def scene(height=24, width=40):
    """A picture with four different corners, BGR."""
    picture = np.zeros((height, width, 3), np.uint8)
    half = height // 2, width // 2
    picture[: half[0], : half[1]] = 20, 40, 200
    picture[: half[0], half[1] :] = 30, 220, 60
    picture[half[0] :, : half[1]] = 210, 50, 30
    picture[half[0] :, half[1] :] = 250, 250, 250
    return picture


def encoded(picture, ending=".png", options=()):
    return cv2.imencode(ending, picture, list(options))[1].tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_turned_as_their_exif_says(orientation):
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(scene()[..., ::-1].copy()).save(file, "jpeg", quality=95, exif=exif)
    photo = photographs.decode(file.getvalue(), "a.jpg")
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(file.getvalue()))).convert("RGB"))[..., ::-1]
    assert photo.orientation == orientation
    assert photo.pixels.shape == expected.shape
    assert np.abs(photo.pixels.astype(int) - expected).mean() < 2
    assert photo.pixels.flags["C_CONTIGUOUS"]


@pytest.mark.parametrize("ending", [".png", ".bmp", ".webp", ".tiff"])
def test_other_formats_are_read(ending):
    photo = photographs.decode(encoded(scene(), ending), "a")
    assert np.abs(photo.pixels.astype(int) - scene()).mean() < 3
    assert (photo.orientation, photo.frame) == (1, -1)


def test_grey_transparent_and_deep_pictures_become_bgr():
    grey = cv2.cvtColor(scene(), cv2.COLOR_BGR2GRAY)
    np.testing.assert_array_equal(photographs.decode(encoded(grey), "a").pixels, np.repeat(grey[..., None], 3, 2))
    clear = np.dstack([scene(), np.full(scene().shape[:2], 90, np.uint8)])
    np.testing.assert_array_equal(photographs.decode(encoded(clear), "a").pixels, scene())
    deep = scene().astype(np.uint16) * 257
    found = photographs.decode(encoded(deep), "a").pixels
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, scene())
    assert photographs.decode(encoded(scene()[:1, :1]), "a").pixels.shape == (1, 1, 3)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "image empty"),
        (b"just some text", "not a picture"),
        (encoded(scene(), ".jpg")[:-40], "image truncated"),
        (encoded(scene())[:60], "image truncated"),
        (encoded(scene()).replace(b"IDAT", b"IDAX"), "image damaged"),
        (encoded(scene(), ".bmp")[:30], "not a picture"),
    ],
)
def test_what_is_no_picture_is_told(data, reason):
    skip = photographs.decode(data, "a.jpg")
    assert isinstance(skip, Skip)
    assert skip.reason == reason
    assert "a.jpg" in skip.detail


def test_pictures_of_too_many_pixels_are_not_decoded(monkeypatch):
    monkeypatch.setattr(limits, "current", lambda: limits.Limits(picture_pixels=100))
    assert photographs.decode(encoded(scene()), "a.png") == Skip("picture too large", "a.png (40 x 24); " + limits.HINT)
    for suffix in (".bmp", ".webp", ".tiff"):
        assert photographs.decode(encoded(scene(), suffix), "a").reason == "picture too large", suffix
    assert images.inspect(encoded(scene()), "a.png", verify=True).reason == images.TOO_LARGE
    assert images.pixels(encoded(scene())) is None


def claiming(data, width, height):
    """The picture with another size in its head."""
    out = bytearray(data)
    if data[:2] == b"\xff\xd8":
        at = data.index(b"\xff\xc0") + 5
        out[at : at + 4] = struct.pack(">HH", height, width)
    elif data[:3] == b"GIF":
        out[6:10] = struct.pack("<HH", width, height)
    else:
        out[16:24] = struct.pack(">II", width, height)
        out[29:33] = struct.pack(">I", zlib.crc32(bytes(out[12:29])))
    return bytes(out)


def test_a_head_that_claims_any_size_costs_no_memory(tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for suffix in (".jpg", ".png"):
        data = claiming(encoded(scene(), suffix), 65_000, 65_000)
        for verify in (False, True):
            assert images.inspect(data, "a", verify).reason == images.TOO_LARGE
        assert images.pixels(data) is None
    gif = (
        b"GIF89a"
        + struct.pack("<HHBBB", 16000, 16000, 0x80, 0, 0)
        + bytes(6)
        + b","
        + struct.pack("<HHHHB", 0, 0, 16000, 16000, 0)
    )
    (tmp_path / "a.gif").write_bytes(gif + b"\x02\x02\x4c\x01\x00;")
    with pytest.raises(InputError, match="frames of 16000 x 16000 px are too large; --input_limits=FACTOR raises"):
        photographs.Video(tmp_path / "a.gif")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_reading_files(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(scene()))
    assert photographs.read(tmp_path / "a.png", "a.png").name == "a.png"
    assert photographs.read(tmp_path / "b.png", "b.png") == Skip("image unreadable", "b.png: No such file or directory")


def test_listing_is_sorted_and_leaves_out_what_is_written(tmp_path):
    for name in ("b.JPG", "a/z.png", "a/y.txt", "c.tif", ".hidden.png", ".dir/x.png", "out/old.png", "a.b/k.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert photographs.list_pictures(tmp_path, tmp_path / "out") == ["a.b/k.webp", "a/z.png", "b.JPG", "c.tif"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: no picture in it \(.jpg"):
        photographs.list_pictures(tmp_path / "empty")


def test_videos_give_their_frames_in_order(tmp_path):
    frames = [np.full((32, 48, 3), 30 + 40 * number, np.uint8) for number in range(5)]
    path = animation.write_animation(tmp_path / "a.mp4", frames, fps=12)
    video = photographs.Video(path)
    assert (video.count, video.fps, video.width, video.height) == (5, 12.0, 48, 32)
    photos = list(video.photos())
    assert [photo.frame for photo in photos] == [0, 1, 2, 3, 4]
    for photo, frame in zip(photos, frames):
        assert np.abs(photo.pixels.astype(int) - frame).mean() < 6
        assert photo.name == "a.mp4"
    (tmp_path / "b.mp4").write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=r"b.mp4: not a video that OpenCV can read, or damaged"):
        photographs.Video(tmp_path / "b.mp4")
    with pytest.raises(InputError, match=r"c.mp4: no such file"):
        photographs.Video(tmp_path / "c.mp4")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_other_formats_are_turned_as_their_exif_says(kind, orientation):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8))
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    picture.save(file, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(file.getvalue()))).convert("RGB"))
    np.testing.assert_array_equal(photographs.decode(file.getvalue(), "a").pixels[..., ::-1], expected)


@pytest.mark.parametrize(
    "text",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n%s\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile '%s'\n",
        b"\n\n<?xml version='1.0'?><MPD><!-- %s --></MPD>",
        b"\0<mpd>%s",
    ],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_a_list_of_other_files_is_no_video(tmp_path, monkeypatch, text, name):
    """FFmpeg reads those, also outside the folder, whatever the list is called."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    writer = cv2.VideoWriter("other.avi", cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for _ in range(3):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    assert photographs.Video("other.avi").count == 3
    place = b"other.avi" if b"concat" in text else str(tmp_path / "other.avi").encode()
    (tmp_path / name).write_bytes(text % place)
    with pytest.raises(InputError, match=rf"{name}: is (text, maybe )?a list of other files.*; expected a video"):
        photographs.Video(tmp_path / name)
