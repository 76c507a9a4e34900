"""Image files: checked by their markers, found in folders and tars, passed on byte for byte."""

import io
import struct
import tarfile

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tfrecords.formats import images
from tfrecords.source import Options, Skip
from tools.cli.errors import InputError


def reason(found):
    assert isinstance(found, Skip), found
    return found.reason


@pytest.mark.parametrize(("suffix", "name"), [(".jpg", "jpeg"), (".png", "png")])
@pytest.mark.parametrize("size", [(1, 1), (37, 53), (640, 3)])
def test_format_and_size_are_what_opencv_wrote(encode, suffix, name, size):
    data = encode(*size, suffix)
    image = images.inspect(data, verify=True)
    assert (image.format, image.size, image.orientation) == (name, size, 1)
    assert image.data is data


def test_a_jpeg_of_endless_scans_is_not_decoded(monkeypatch):
    """1,500 scans of 25 million pixels fit into 160 kB and take minutes."""
    whole = io.BytesIO()
    Image.new("L", (40, 30)).save(whole, "JPEG", progressive=True)
    data, last = whole.getvalue(), whole.getvalue().rindex(b"\xff\xda")
    assert images.inspect(data, verify=True).size == (40, 30)
    many = data[:last] + data[last:-2] * 150 + data[-2:]
    assert images.pixels(data) is not None
    assert images.pixels(many) is None
    assert reason(images.inspect(many)) == images.TOO_MANY_SCANS
    monkeypatch.setenv("POSE3D_INPUT_LIMITS", "2")
    assert images.inspect(many).size == (40, 30)


@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("restarts", [0, 2])
def test_kinds_of_jpeg(progressive, restarts):
    pixels = np.random.default_rng(1).integers(0, 256, (45, 61, 3), dtype=np.uint8)
    flags = [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive, cv2.IMWRITE_JPEG_RST_INTERVAL, restarts]
    data = cv2.imencode(".jpg", pixels, flags)[1].tobytes()
    assert images.inspect(data).size == (61, 45)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_every_cut_is_seen(encode, suffix):
    data = encode(33, 21, suffix)
    for length in range(len(data)):
        found = images.inspect(data[:length])
        expected = {images.EMPTY} if length == 0 else {images.TRUNCATED, images.FOREIGN}
        assert reason(found) in expected, length
    assert reason(images.inspect(data[: len(data) // 2])) == images.TRUNCATED


def test_a_cut_picture_with_a_whole_thumbnail_is_cut(encode):
    """The end marker inside an EXIF thumbnail is not the end of the picture."""
    data = encode(64, 48)
    exif = b"Exif\0\0" + encode(8, 8)
    whole = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    assert images.inspect(whole, verify=True).size == (64, 48)
    assert reason(images.inspect(whole[:-20])) == images.TRUNCATED


def test_bytes_after_the_end_belong_to_the_file(encode):
    data = encode(16, 16) + b"\0" * 9
    assert images.inspect(data).data == data


@pytest.mark.parametrize("data", [b"GIF89a" + b"\0" * 50, b"<html>not found</html>", b"BM" + b"\0" * 99])
def test_other_files(data):
    assert reason(images.inspect(data)) == images.FOREIGN


def test_a_jpeg_without_frame_or_scan_is_damaged(encode):
    assert reason(images.inspect(b"\xff\xd8\xff\xd9")) == images.DAMAGED
    data = encode(16, 16)
    frame = data.index(b"\xff\xc0")
    length = int.from_bytes(data[frame + 2 : frame + 4], "big")
    assert reason(images.inspect(data[:frame] + data[frame + 2 + length :])) == images.DAMAGED


def test_a_jpeg_that_decoders_do_not_read(encode):
    data = bytearray(encode(16, 16))
    data[data.index(b"\xff\xc0") + 1] = 0xC9  # arithmetic coding
    assert reason(images.inspect(bytes(data))) == images.UNSUPPORTED


def test_a_flipped_byte_of_a_png_is_damage(encode):
    data = encode(20, 20, ".png")
    for place in range(8, len(data), 7):
        flipped = bytearray(data)
        flipped[place] ^= 0x10
        assert isinstance(images.inspect(bytes(flipped)), Skip), place


def test_verify_decodes(encode):
    """Markers in order, pixels not: the compressed data of a PNG replaced by a chunk with a right checksum."""
    import zlib

    data = encode(20, 20, ".png")
    start = data.index(b"IDAT") - 4
    end = data.index(b"IEND") - 4
    content = b"not deflate"
    chunk = struct.pack(">I", len(content)) + b"IDAT" + content + struct.pack(">I", zlib.crc32(b"IDAT" + content))
    broken = data[:start] + chunk + data[end:]
    assert images.inspect(broken).size == (20, 20)
    assert reason(images.inspect(broken, verify=True)) == images.DAMAGED


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_exif_orientation_is_noted_and_the_size_is_that_of_the_stored_pixels(encode, order, orientation):
    tiff = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8) + struct.pack(order + "H", 2)
    tiff += struct.pack(order + "HHII", 0x0100, 4, 1, 30) + struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    exif = b"Exif\0\0" + tiff + b"\0\0\0\0"
    data = encode(30, 20)
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    image = images.inspect(data, verify=True)
    assert (image.size, image.orientation) == ((30, 20), orientation)
    turned = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape[:2]
    assert turned == ((30, 20) if orientation in (6, 8) else (20, 30))


@pytest.mark.parametrize(
    ("size", "details", "film_mm"),
    [
        ((40, 30), {0xA405: 26}, 26),
        ((30, 40), {0xA405: 75}, 75),
        ((40, 30), {0xA405: 26, 0xA002: 4000, 0xA003: 3000}, 26),  # resized
        ((40, 40), {0xA405: 26, 0xA002: 4000, 0xA003: 3000}, 0),  # cropped
        ((40, 33), {0xA405: 26}, 0),  # of no sensor's shape
        ((40, 30), {0xA405: 0}, 0),
        ((40, 30), {0xA405: "wide"}, 0),
        ((40, 30), {}, 0),
    ],
)
def test_the_focal_length_of_exif(size, details, film_mm):
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    exif.get_ifd(0x8769).update(details)
    Image.new("RGB", size).save(file, "jpeg", exif=exif)
    image = images.inspect(file.getvalue())
    assert (image.orientation, image.film_mm) == (6, film_mm)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff\xe1\x00\x20Exif\0\0II", b"\x89PNG\r\n\x1a\n"]),
    st.binary(max_size=200),
)
def test_any_bytes_give_an_image_or_a_skip(start, rest):
    found = images.inspect(start + rest)
    assert isinstance(found, (images.Image, Skip))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_damage_gives_an_image_or_a_skip(encode, data):
    content = bytearray(encode(24, 16, data.draw(st.sampled_from([".jpg", ".png"]))))
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    assert isinstance(images.inspect(bytes(content)), (images.Image, Skip))


def make_tar(path, files):
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def test_folder_and_tar_give_the_same_bytes(tmp_path, encode):
    files = {"a.jpg": encode(9, 7), "deep/b.png": encode(5, 6, ".png")}
    folder = tmp_path / "pictures"
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    tar = make_tar(tmp_path / "pictures.tar", {"./" + name: data for name, data in files.items()})
    for place in (folder, tar):
        pictures = images.Pictures(place, verify=True)
        for name, data in files.items():
            assert pictures.read(name).data == data
            assert name in pictures
        assert reason(pictures.read("c.jpg")) == images.MISSING
        assert "c.jpg" not in pictures


def test_names_do_not_lead_out_of_the_folder(tmp_path, encode):
    (tmp_path / "secret.jpg").write_bytes(encode(9, 7))
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(encode(3, 2))
    pictures = images.Pictures(folder)
    for name in (
        "../secret.jpg",
        str(tmp_path / "secret.jpg"),
        f"/{tmp_path}/secret.jpg",
        "x/../../secret.jpg",
        "..\\secret.jpg",
    ):
        assert reason(pictures.read(name)) == images.MISSING
    for name in ("..", "/", "", ".", "a\0b", "x" * 5000):
        assert reason(pictures.read(name)) == images.MISSING
    # the paths of somebody else's machine: only the name counts
    assert pictures.read("/home/somebody/images/a.jpg").size == (3, 2)


def test_where_pictures_are_looked_for(tmp_path, encode):
    folder = tmp_path / "images"
    assert images.open_pictures(Options(images="none"), [folder]) is None
    with pytest.raises(InputError, match="--images=none"):
        images.open_pictures(Options(), [folder])
    with pytest.raises(InputError, match=r"no folder or tar .*--images=none"):
        images.open_pictures(Options(images=str(folder)), [])
    folder.mkdir()
    with pytest.raises(InputError, match=r"is empty.*--images=none"):
        images.open_pictures(Options(images=str(folder)), [])
    with pytest.raises(InputError, match="--images=none"):
        images.open_pictures(Options(), [folder])
    (folder / "a.jpg").write_bytes(encode(2, 2))
    assert images.open_pictures(Options(), [tmp_path / "none", folder]).path == folder
    (tmp_path / "text.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(InputError, match="neither a folder nor an uncompressed tar"):
        images.Pictures(tmp_path / "text.tar")
