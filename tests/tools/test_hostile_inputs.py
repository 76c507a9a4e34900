"""Damaged and hostile inputs through make_tfrecords.py and inspect_tfrecords.py: success, or one line and status 2."""

import contextlib
import gzip
import io
import json
import os
import random
import re
import tarfile

import h5py
import numpy as np
import pytest

from baseline_network import train as baseline_training
from label_generator import generate
from label_generator import train as label_training
from tfrecords.source import Options, read_records
from tfrecords.sources import open_source
from tools import inspect_tfrecords, make_tfrecords
from tools.cli import command
from tools.cli.errors import InputError

SIDES = ("left", "right")
PAIRS = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
COCO_NAMES = ["nose", *(f"{side}_{part}" for part in PAIRS for side in SIDES)]


def run(module, *arguments):
    with pytest.raises(SystemExit) as ended:
        command.run(module.main, module.declare, ["tool", *map(str, arguments)])
    return ended.value.code


@pytest.fixture
def convert(tmp_path, capfd):
    """convert(source, *flags): the one error line of a conversion that must end with status 2."""

    def convert(source, *flags):
        assert run(make_tfrecords, f"--source={source}", f"--output={tmp_path / 'out'}", *flags) == 2
        error = capfd.readouterr().err
        assert error.count("\n") == 1, error
        assert error.startswith("error: ")
        assert not (tmp_path / "out").exists()
        return error

    return convert


def coco(**changes):
    rng = np.random.default_rng(0)
    points = np.c_[rng.uniform(5, 95, (17, 2)), np.full(17, 2)]
    person = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": points.ravel().tolist(), "bbox": [1, 2, 80, 90]}
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 100}],
        "categories": [{"id": 1, "name": "person", "keypoints": COCO_NAMES}],
        "annotations": [person],
    }
    return {**content, **changes}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (gzip.compress(json.dumps(coco()).encode(), mtime=0)[:-9], "cut short"),
        (
            json.dumps(coco(images=[{"id": 1, "file_name": "\ud800.jpg"}])).encode(),
            "images[0].file_name is not Unicode",
        ),
        (json.dumps(coco(images=[{"id": 1, "file_name": "a" * 1_000_000}])).encode(), "a name of 1,000,000 characters"),
        (json.dumps(coco(images=5)).encode(), "expected COCO key points"),
        (b'{"images": [], "annotations": [' + b"9" * 5000 + b"]}", "a.json"),
    ],
)
def test_json(tmp_path, convert, content, message):
    (tmp_path / "a.json").write_bytes(content)
    assert message in convert("coco", f"--input={tmp_path / 'a.json'}", "--images=none")


def test_what_is_no_file_is_not_waited_for(tmp_path, convert):
    os.mkfifo(tmp_path / "a.json")
    assert "a named pipe" in convert("coco", f"--input={tmp_path / 'a.json'}", "--images=none")
    (tmp_path / "b.json").symlink_to("/dev/zero")
    assert "a device" in convert("coco", f"--input={tmp_path / 'b.json'}", "--images=none")


NAMES = {
    "coco": "a.json",
    "coco_results": "a.json",
    "mmpose": "a.json",
    "mediapipe": "a.json",
    "yolo": "a.json",
    "aichallenger": "a.json",
    "deeplabcut": "a.csv",
    "lsp": "joints.mat",
    "mpii": "annot.h5",
    "h36m_images": "annot_train.h5",
    "mpii_lsp": "wild.npy",
    "videopose3d": "data_2d_h36m.npz",
    "h36m": "data_3d_h36m.npz",
    "mocap": "m.npz",
    "photos": "a.npz",
    "openpose": "a.tar",
    "npy_tree": "a.npy",
}


@pytest.mark.parametrize("source", NAMES)
def test_no_source_waits_for_a_pipe_or_reads_a_device(tmp_path, source):
    """Made directly: a command would end too, but only after it has waited."""
    os.mkfifo(tmp_path / NAMES[source])
    (tmp_path / "zero").mkdir()
    (tmp_path / "zero" / NAMES[source]).symlink_to("/dev/zero")
    style = "wild" if source in ("mocap", "h36m") else "h36m"
    for folder in (tmp_path, tmp_path / "zero"):
        with pytest.raises(InputError):
            len(open_source(source, folder / NAMES[source], Options(images="none", cameras_style=style)))


def test_pictures_in_a_pipe_are_not_waited_for(tmp_path, convert):
    (tmp_path / "a.json").write_text(json.dumps(coco()))
    os.mkfifo(tmp_path / "images.tar")
    error = convert("coco", f"--input={tmp_path / 'a.json'}", f"--images={tmp_path / 'images.tar'}")
    assert "is a named pipe, expected a file" in error


@pytest.mark.parametrize("source", ["h36m", "h36m_images"])
def test_hdf5_that_was_declared_and_never_written_is_refused(tmp_path, source):
    shapes = {"3D_positions": (96, 10**8)}
    path = tmp_path / "S1" / "MyPoses" / "3D_positions" / "Walking.h5"
    if source == "h36m_images":
        path = tmp_path / "annot_train.h5"
        rows = dict.fromkeys(("action", "camera", "id", "istrain", "subaction", "subject"), (10**8,))
        shapes = {**rows, "joint_2d": (10**8, 16, 2), "joint_3d_mono": (10**8, 16, 3)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, shape in shapes.items():
            file.create_dataset(name, shape, "<f8", chunks=True)
    with pytest.raises(InputError, match=r"declares .* [GM]iB"):
        open_source(source, tmp_path, Options(images="none", cameras_style="wild"))


def test_poses_not_in_px_and_an_empty_selection_end_before_tensorflow(tmp_path, capfd):
    annotations, shares = coco(), coco()
    keypoints = np.array(shares["annotations"][0]["keypoints"]).reshape(-1, 3)
    shares["annotations"][0]["keypoints"] = (keypoints / [100, 100, 1]).ravel().tolist()
    for name, content, flags, message in (
        ("a.json", shares, (), "2D joints within 2 px: not in px"),
        ("b.json", annotations, ("--split=val",), "no pose of split 'val'"),
    ):
        (tmp_path / name).write_text(json.dumps(content))
        assert run(generate, f"--input={tmp_path / name}", f"--output={tmp_path / 'out'}", *flags) == 2
        error = capfd.readouterr().err
        assert message in error
        assert error.count("\n") == 1
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("module", [label_training, baseline_training])
def test_more_threads_than_a_machine_has_end_no_training_without_a_word(module, capfd):
    """TensorFlow ends the process when it can't start so many."""
    assert run(module, "--threads=1000000000") == 2
    assert capfd.readouterr().err == "error: --threads=1000000000: expected a whole number of 0 to 4,096 (see --help)\n"


@pytest.mark.parametrize(("module", "flag"), [(label_training, "linear_size"), (baseline_training, "features")])
def test_networks_that_no_memory_holds_are_refused_at_once(module, flag, capfd):
    assert run(module, f"--{flag}=1000000000") == 2
    assert capfd.readouterr().err.startswith(f"error: --{flag}=1000000000: expected a whole number of ")


def test_terminal_escapes_are_shown(tmp_path, convert):
    error = convert("coco", f"--input={tmp_path}/\x1b[31mred\x07.json", "--images=none")
    assert r"\x1b[31mred\x07.json" in error


def test_names_that_are_not_utf8_are_refused_at_once(tmp_path, convert):
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    assert "not UTF-8" in convert("openpose", f"--input={folder}")


def test_sequences_that_no_camera_sees_are_skipped_and_counted(tmp_path, convert):
    pose = np.random.default_rng(0).normal(0, 300, (17, 3)) + [0, 0, 900]
    # In Human3.6M's order the first joint is the hip, the tenth the head.
    pose[[0, 10]] = [[0, 0, 900.0], [0, 0, 1500.0]]
    good = np.repeat(pose[None], 20, 0)
    high = good + [0, 0, 9_500.0]
    np.savez(tmp_path / "high.npz", a=high)
    flags = ("--cameras_style=wild", "--workers=1")
    assert "out of the view of any camera (80)" in convert("mocap", f"--input={tmp_path / 'high.npz'}", *flags)
    glitch = good.copy()
    glitch[7] += 1e8
    np.savez(tmp_path / "glitch.npz", a=glitch)
    for style, views in (("wild", 4), ("level", 1)):
        out = tmp_path / style
        flags = (f"--cameras_style={style}", "--workers=1", f"--output={out}")
        assert run(make_tfrecords, "--source=mocap", f"--input={tmp_path / 'glitch.npz'}", *flags) == 0
        content = json.loads((out / "manifest.json").read_text())
        assert content["records"] == 19 * views
        assert sum(entry["count"] for entry in content["skipped"].values()) == views
        assert "out of the view of any camera" in content["skipped"]


def test_inspect_names_damage_of_manifests_in_one_line(tmp_path, capfd):
    out = tmp_path / "out"
    assert run(make_tfrecords, "--source=synthetic", "--count=3", f"--output={out}") == 0
    manifest = out / "manifest.json"
    good = json.loads(manifest.read_text())
    (tmp_path / "outside.tfrecord").write_bytes((out / good["shards"][0]["file"]).read_bytes())
    for change in (
        {"shards": [{**good["shards"][0], "file": "../outside.tfrecord"}]},
        {"shards": [{**good["shards"][0], "file": 5}]},
        {"shards": {}},
        {"source": "x"},
        {"records": "3"},
        {"skipped": []},
    ):
        manifest.write_text(json.dumps({**good, **change}))
        capfd.readouterr()
        assert run(inspect_tfrecords, out, "--sheet=none") == 2
        error = capfd.readouterr().err
        assert error.startswith(f"error: {manifest}: ")
        assert error.count("\n") == 1


def openpose_tar():
    rng, file = np.random.default_rng(1), io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for frame in range(3):
            points = np.c_[rng.uniform(5, 500, (25, 2)), rng.uniform(0.1, 1, 25)].ravel().tolist()
            data = json.dumps({"people": [{"pose_keypoints_2d": points}]}).encode()
            info = tarfile.TarInfo(f"clip_{frame:012d}_keypoints.json")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def saved(save, *arrays, **named):
    file = io.BytesIO()
    save(file, *arrays, **named)
    return file.getvalue()


def mpii_h5():
    file = io.BytesIO()
    with h5py.File(file, "w") as content:
        content["imgname"], content["scale"] = np.array([b"a.jpg"] * 3), np.ones(3)
        content["part"], content["center"] = np.random.default_rng(0).uniform(5, 95, (3, 16, 2)), np.full((3, 2), 50.0)
        content["visible"], content["person"] = np.ones((3, 16)), np.arange(3.0)
    return file.getvalue()


def wild_npy():
    rng, rows = np.random.default_rng(2), np.empty(3, object)
    for i in range(3):
        rows[i] = (f"a{i}.jpg", rng.normal(0, 300, (17, 3)), rng.uniform(0, 500, (17, 2)))
    return saved(lambda file, array: np.save(file, array, allow_pickle=True), rows)


POSES = np.random.default_rng(3).normal(0, 300, (5, 17, 3)) + [0, 0, 900]
SAMPLES = {
    "coco": ("a.json", lambda: json.dumps(coco()).encode(), {"images": "none"}),
    "openpose": ("a.tar.gz", openpose_tar, {}),
    "mocap": ("m.npz", lambda: saved(np.savez, a=POSES), {"cameras_style": "wild"}),
    "mpii": ("annot.h5", mpii_h5, {"images": "none"}),
    "mpii_lsp": ("wild.npy", wild_npy, {"images": "none"}),
}
TOKENS = (b"NaN", b"-1", b"null", b"[]", b"{}", b'"\\ud800"', b"1e999", b"9" * 400, b"[" * 3000, b"true", b'"x"')


def mutated(data, rng, text):
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        kind, at = rng.random(), rng.randrange(len(data))
        numbers = list(re.finditer(rb'-?\d+(\.\d+)?|"[^"]*"', bytes(data))) if text and kind < 0.5 else []
        if numbers:
            found = rng.choice(numbers)
            data[found.start() : found.end()] = rng.choice(TOKENS)
        elif kind < 0.6:
            data[at] ^= 1 << rng.randrange(8)
        elif kind < 0.7:
            del data[max(at, 1) :]
        elif kind < 0.85:
            data[at : at + 4] = b"\xff" * 4
        else:
            data[at:at] = rng.randbytes(rng.randrange(1, 9))
    return bytes(data)


def test_numbers_beyond_a_float_are_an_input_error(tmp_path, convert):
    (tmp_path / "annot.h5").write_bytes(mpii_h5())
    with h5py.File(tmp_path / "annot.h5", "a") as file:
        del file["part"]
        file["part"] = np.full((3, 16, 2), 1e300)
    assert "annot.h5" in convert("mpii", f"--input={tmp_path / 'annot.h5'}", "--images=none")


@pytest.mark.parametrize("source", SAMPLES)
def test_mutated_files_are_read_or_are_an_input_error(tmp_path, source):
    name, make, options = SAMPLES[source]
    data, rng, path = make(), random.Random(source), tmp_path / name
    path.write_bytes(data)
    opened = open_source(source, path, Options(**options))
    assert sum(1 for _ in read_records(opened, range(len(opened)))) >= 1
    for _ in range(60):
        path.write_bytes(mutated(data, rng, name.endswith(".json")))
        with contextlib.suppress(InputError):
            opened = open_source(source, path, Options(**options))
            for _ in read_records(opened, range(len(opened))):
                pass
