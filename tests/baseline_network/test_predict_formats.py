"""predict.py's other formats, each read by its own reader, and predictions as an input of generate.py."""

import csv
import functools
import json

import cv2
import numpy as np
import pytest

from baseline_network import predict
from label_generator.labelling import formats as input_formats
from label_generator.labelling import inputs
from tfrecords import reader
from tfrecords.formats import bvh as bvh_reader
from tfrecords.schema import PoseRecord
from tfrecords.source import Options
from tfrecords.sources import open_source
from tools.cli.errors import InputError
from tools.drawing import animation
from tools.pose import joints
from tools.pose.joints import POSE17

BOXES = ["--box=20,10,60,70", "--box=60,5,50,80"]


@pytest.fixture
def run(run_with_small_network):
    return functools.partial(run_with_small_network, predict)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "in"
    (place / "more").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("a.png", "more/b.png"):
        coarse = rng.uniform(0, 255, (4, 5, 3)).astype(np.float32)
        cv2.imwrite(str(place / name), cv2.resize(coarse, (128, 96)).clip(0, 255))
    return place


@pytest.fixture
def clip(tmp_path):
    coarse = cv2.resize(np.random.default_rng(1).uniform(0, 255, (4, 5, 3)).astype(np.float32), (128, 96))
    frames = [np.roll(coarse.clip(0, 255).astype(np.uint8), number, 1) for number in range(8)]
    return animation.write_animation(tmp_path / "walk.mp4", frames, fps=10)


def poses_of(output):
    """The predicted poses as 17 joints: px [n, 17, 2] with whole numbers at pixel centres, mm [n, 17, 3]."""
    arrays = np.load(output / "predictions.npz")
    sure = arrays["confidence"][..., None] > 0
    flat = joints.convert(np.where(sure, arrays["points"] - 0.5, np.nan), "mpii16")[0]
    deep = joints.convert(arrays["poses_3d"], "mpii16")[0]
    return flat, deep - deep[:, POSE17.root, None], arrays


def test_pictures_as_coco_csv_wild_and_records(run, folder, tmp_path, capsys):
    output = tmp_path / "out"
    flags = [f"--input={folder}", f"--output={output}", *BOXES, "--nooverlays"]
    assert run(*flags, "--formats=coco,csv,wild,tfrecord") == 0
    assert "records: 4" in capsys.readouterr().out
    flat, deep, arrays = poses_of(output)
    assert arrays["image_sizes"].tolist() == [[128, 96]] * 4
    files, persons = ["a.png", "a.png", "more/b.png", "more/b.png"], [0, 1, 0, 1]

    coco = json.loads((output / "predictions_coco.json").read_text())
    names = {image["id"]: image["file_name"] for image in coco["images"]}
    assert [names[annotation["image_id"]] for annotation in coco["annotations"]] == files
    for i, annotation in enumerate(coco["annotations"]):
        np.testing.assert_allclose(
            np.reshape(annotation["keypoints"], (17, 3))[:, :2], np.nan_to_num(flat[i]), atol=0.001
        )
        np.testing.assert_allclose(np.reshape(annotation["keypoints_3d"], (17, 4))[:, :3], deep[i], atol=0.006)
        known = joints.convert(arrays["confidence"][i][:, None], "mpii16")[0][:, 0]
        np.testing.assert_allclose(annotation["confidence"], known.clip(0, 1), atol=1e-4)
        assert annotation["score"] == pytest.approx(known.clip(0, 1).mean(), abs=1e-3)

    with open(output / "predictions_long.csv", newline="") as file:
        long = list(csv.DictReader(file))
    assert [(row["file"], int(row["person"])) for row in long[::17]] == list(zip(files, persons))
    read = np.array([[row["x_mm"], row["y_mm"], row["z_mm"]] for row in long], float).reshape(4, 17, 3)
    np.testing.assert_allclose(read, deep, atol=0.001)
    assert all(0 <= float(row["confidence"]) <= 1 and row["joint_quality"] == "" for row in long)

    source = open_source("mpii_lsp", output / "wild.npy", Options(images="none"))
    records = list(source.records(np.arange(len(source))))
    np.testing.assert_allclose([record.pose_3d for record in records], deep, atol=1e-3)
    assert [record.file for record in records] == files
    assert np.isnan([record.quality for record in records]).all()

    fields = ("pose_3d", "pose_2d", "image", "file", "person", "camera_kind")
    batch = next(iter(reader.dataset(str(output / "tfrecords"), 4, fields).as_numpy_iterator()))
    np.testing.assert_allclose(batch["pose_2d"], flat, atol=1e-3)
    np.testing.assert_allclose(batch["pose_3d"], deep, atol=1e-2)
    assert batch["file"].tolist() == [name.encode() for name in files]
    assert batch["person"].tolist() == persons
    manifest = json.loads((output / "tfrecords" / "manifest.json").read_text())
    assert manifest["input"] == str(folder)
    for data, name in zip(batch["image"], files):
        picture = data if isinstance(data, np.ndarray) else cv2.imdecode(np.frombuffer(data, np.uint8), 1)
        assert picture.shape[:2] == cv2.imread(str(folder / name)).shape[:2]
    assert sorted(path.name for path in output.iterdir()) == [
        "predictions.json", "predictions.npz", "predictions_coco.json", "predictions_long.csv",
        "predictions_wide.csv", "tfrecords", "wild.npy",
    ]  # fmt: skip
    assert run(*flags, "--formats=wild") == 2
    assert run(*flags, "--formats=tfrecord", "--overwrite", "--limit=1") == 0
    assert json.loads((output / "tfrecords" / "manifest.json").read_text())["input"] == str(folder)


def test_a_video_as_motions(run, clip, tmp_path, capsys):
    output = tmp_path / "out"
    assert run(f"--input={clip}", f"--output={output}", *BOXES, "--nooverlays", "--formats=bvh,c3d,mp4") == 0
    assert "sequences: 2 clips of 16 frames" in capsys.readouterr().out
    motions = sorted(path.name for path in (output / "bvh").iterdir())
    assert motions == ["walk.mp4_1.bvh", "walk.mp4_2.bvh"]
    skeleton, values = bvh_reader.read(output / "bvh" / motions[0])
    assert skeleton.frame_time_s == pytest.approx(0.1)
    places = bvh_reader.forward_kinematics(skeleton, values)
    assert len(places) == 8
    assert np.isfinite(places).all()
    ezc3d = pytest.importorskip("ezc3d")
    points = ezc3d.c3d(str(output / "c3d" / "walk.mp4_1.c3d"))
    assert points["data"]["points"].shape == (4, 17, 8)
    # The network states no error, so none is claimed but the usual one.
    residuals = points["data"]["meta_points"]["residuals"]
    assert set(np.round(residuals).ravel()) == {0.0, 60.0}  # 0: missing, between its neighbours
    film = cv2.VideoCapture(str(output / "films" / "walk.mp4_1.mp4"))
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == 8
    frame, source = film.read()[1], cv2.VideoCapture(str(clip)).read()[1]
    assert frame.shape == (480, 640 + 480, 3)
    corner = cv2.resize(source, (640, 480), interpolation=cv2.INTER_CUBIC)[440:, :40]
    assert np.abs(frame[440:, :40].astype(int) - corner).mean() < 25  # the video's picture


@pytest.mark.parametrize("name", ["predictions.json", "predictions.npz"])
def test_predictions_keep_what_they_are_on_their_way_into_labels(run, clip, tmp_path, name):
    output = tmp_path / "out"
    assert run(f"--input={clip}", f"--output={output}", *BOXES, "--nooverlays") == 0
    flat, deep, arrays = poses_of(output)
    path = output / name
    assert input_formats.guess_format(str(path)) == "predictions"
    opened = inputs.open_input(inputs.Spec(str(path), "predictions"))
    assert (len(opened), opened.fps) == (16, 10.0)
    (batch,) = opened.batches(0, 16)
    np.testing.assert_allclose(batch.poses_2d, flat, atol=0.006)
    assert batch.frame.tolist() == arrays["frames"].tolist() == [number for number in range(8) for _ in range(2)]
    assert batch.person.tolist() == [0, 1] * 8
    assert batch.file == batch.sequence == ["walk.mp4"] * 16
    assert batch.image_size.tolist() == [[128, 96]] * 16
    records = list(open_source("predictions", path, Options(images=str(clip))).records(np.arange(16)))
    np.testing.assert_allclose([record.pose_3d for record in records], deep, atol=0.11)
    assert all(isinstance(record, PoseRecord) and record.image_format == "jpeg" for record in records)
    # Confidence decides which joints are missing.
    middle = float(np.median(arrays["confidence"]))
    opened = inputs.open_input(inputs.Spec(str(path), "predictions", min_confidence=middle))
    (batch,) = opened.batches(0, 16)
    wrist, elbow = joints.joint_set("mpii16").index("RWrist"), POSE17.index("RWrist")
    sure = np.round(arrays["confidence"][:, wrist], 4) > middle
    np.testing.assert_array_equal(np.isfinite(batch.poses_2d[:, elbow]).all(-1), sure)


def test_bad_requests_are_one_line(run, folder, tmp_path, assert_error):
    flags = [f"--input={folder}", f"--output={tmp_path / 'out'}"]
    assert run(*flags, "--formats=bvh") == 2
    assert_error("--formats=bvh: is of videos")
    assert run(*flags, "--formats=fbx") == 2
    assert_error("--formats=fbx: there are npz, json")
    assert run(*flags, "--names=mixamo") == 2
    assert_error("--names: goes with --formats=bvh")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"images": 5}', "no list of images"),
        ('{"images": [{"file": "a", "people": 5}]}', "image 0: no list of people"),
        ('{"images": [{"file": "a", "people": [{"box_source": "", "pose_3d_mm": []}]}]}', "a person 0: box, points"),
        ('{"images": []}', "no person in it"),
    ],
)
def test_damaged_predictions(tmp_path, content, words):
    path = tmp_path / "predictions.json"
    path.write_text(content)
    with pytest.raises(InputError, match=words):
        open_source("predictions", path)
