"""export: the whole command; its SavedModel in a process that has TensorFlow alone; how it refuses."""

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf

from baseline_network import export
from baseline_network.exporting import formats, tflite_process
from baseline_network.exporting import run as export_run
from baseline_network.network import hourglass, landmark_encoder, network_files
from baseline_network.prediction.predictor import Predictor
from tools.cli import command
from tools.cli.errors import InputError

BOX = [[60.0, 40.0, 120.0, 150.0]]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A weights folder of a small network of random weights."""
    model = hourglass.build(hourglass.Sizes(1, 1, 16, 64), dtype="float32")
    return network_files.save(tmp_path_factory.mktemp("network") / "net", model, {"crop_margin": 1.4, "peaks": "fit"})


def run(*flags):
    """The exit status of the command in this process."""
    with pytest.raises(SystemExit) as ended:
        command.run(export.main, export.declare, ["export.py", *map(str, flags)])
    return ended.value.code or 0


@pytest.fixture(scope="module")
def packed(weights, rendered_people, write_pictured, tmp_path_factory):
    """What the command packed, in all formats; records with a broken picture among them."""
    folder = tmp_path_factory.mktemp("export")
    people = [*rendered_people[:6], dataclasses.replace(rendered_people[6], image=b"broken"), rendered_people[7]]
    records = write_pictured(folder / "some.tfrecord", people)
    flags = ["--check=3", "--calibrate=4", "--static_batch=2", "--noflip"]
    assert run(f"--weights={weights}", f"--data={records}", f"--output={folder / 'packed'}", *flags) == 0
    return folder / "packed"


def test_what_is_written(packed):
    names = ["core_float16.tflite", "core_int8.tflite", "export.json", "saved_model"]
    assert sorted(os.listdir(packed)) == names
    told = json.loads((packed / "export.json").read_text())
    assert told["compared_on"]["pictures"] == 3
    assert (told["margin"], told["peaks"], told["flip"]) == (1.4, "fit", False)
    assert told["joints"][6] == "Pelvis"
    files = told["files"]
    assert sorted(files) == [names[0], names[1], names[3]]
    for name in names[:2]:
        assert files[name]["bytes"] == os.path.getsize(packed / name)
        assert files[name]["ms"] > 0
        assert files[name]["difference"]["median_px"] >= 0
        assert "mpjpe_published" in files[name]
    assert files["core_float16.tflite"]["difference"]["max_heatmaps"] < formats.FLOAT16_BOUND
    assert files["core_int8.tflite"]["calibrated_on"] == 3  # of 7 people, one of whom is broken and 3 are for checking
    assert files["saved_model"]["difference"]["max_px"] < 0.1
    signatures = files["saved_model"]["signatures"]
    assert signatures["static"]["inputs"] == {"images": "float32 [2, 64, 64, 3]"}
    assert signatures["static"]["outputs"]["points"] == "float32 [2, 16, 2]"
    assert signatures["serving_default"]["inputs"] == {"encoded": "string [?]", "boxes": "float32 [?, 4]"}


_STRANGER = """
import sys
import numpy as np, tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
picture, boxes = np.load(sys.argv[2]), tf.constant(np.load(sys.argv[3]))
encoded = tf.io.encode_png(picture)[None]
found = {"files": loaded.signatures["serving_default"](encoded=encoded, boxes=boxes),
         "pixels": loaded.signatures["pixels"](picture=tf.constant(picture), boxes=boxes),
         "static": loaded.signatures["static"](images=tf.constant(np.load(sys.argv[4])))}
np.savez(sys.argv[5], **{f"{a}/{b}": v.numpy() for a, some in found.items() for b, v in some.items()})
assert not [name for name in sys.modules if name.startswith(("baseline_network", "tfrecords"))]
"""


def test_the_saved_model_needs_tensorflow_alone(packed, weights, rendered_people, tmp_path):
    picture = cv2.imdecode(np.frombuffer(rendered_people[9].image, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].copy()
    predictor = Predictor(network_files.load(weights), flip=False)
    crops, transforms = predictor.crops(picture, BOX)
    arrays = {"picture": picture, "boxes": np.float32(BOX), "crops": np.repeat(crops, 2, 0)}
    paths = [tmp_path / f"{name}.npy" for name in arrays]
    for path, values in zip(paths, arrays.values()):
        np.save(path, values)
    program = [sys.executable, "-c", _STRANGER, packed / "saved_model", *paths, tmp_path / "found.npz"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    ended = subprocess.run(list(map(str, program)), cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    found = np.load(tmp_path / "found.npz")
    of_files = predictor.from_files(tf.io.encode_png(picture)[None], BOX)
    of_pixels = predictor.from_pixels(picture, BOX)
    for kind, expected in (("files", of_files), ("pixels", of_pixels)):
        for name, value in expected.items():
            np.testing.assert_allclose(found[f"{kind}/{name}"], value, rtol=1e-3, atol=1e-3)
    # The fixed shapes take the crop and answer in its pixels.
    inside = np.einsum("ij,kj->ki", transforms[0, :, :2], of_pixels["points"][0]) + transforms[0, :, 2]
    np.testing.assert_allclose(found["static/points"], np.repeat(inside[None], 2, 0), rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(found["static/pose_3d"], np.repeat(of_pixels["pose_3d"], 2, 0), rtol=1e-3, atol=1e-1)


def test_rendered_people_where_no_records_are_given():
    sample = export_run.load_sample("", 3, 1.5, 64)
    assert sample.crops.shape == (3, 64, 64, 3)
    assert sample.truth["joint_mask_2d"].all()
    back = np.einsum("bij,bkj->bki", sample.transforms[..., :2], sample.truth["points"])
    inside = back + sample.transforms[:, None, :, 2]
    assert np.mean((inside > 0) & (inside < 64)) > 0.9
    again = export_run.load_sample("", 3, 1.5, 64)
    np.testing.assert_array_equal(sample.crops, again.crops)


def test_no_usable_picture(rendered_people, write_pictured, tmp_path):
    bare = [dataclasses.replace(person, image=b"", image_format="") for person in rendered_people[:2]]
    broken = [dataclasses.replace(rendered_people[0], image=b"what?")]
    for name, people in (("bare", bare), ("broken", broken)):
        file = write_pictured(tmp_path / f"{name}.tfrecord", people)
        with pytest.raises(InputError, match=f"{name}.tfrecord: no record has a picture that can be used"):
            export_run.load_sample(file, 2, 1.25, 64)


def test_only_its_own_folders_are_replaced(packed, weights, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    flags = (f"--weights={weights}", "--formats=float16")
    for more, message in (
        ([f"--output={packed}"], "exists already; --overwrite replaces it"),
        ([f"--output={tmp_path / 'mine'}", "--overwrite"], "holds no export.json"),
        ([f"--output={tmp_path / 'mine' / 'thesis.txt'}"], "is not a folder"),
    ):
        assert run(*flags, *more) == 2
        assert message in capsys.readouterr().err
    assert (tmp_path / "mine" / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--output must be given"),
        (["--output=x", "--formats=core_ml"], "expected some of saved_model, float16, int8, onnx"),
        (["--output=x", "--formats=float16", "--calibrate=3"], "--calibrate: goes with --formats=int8"),
        (["--output=x", "--formats=int8", "--noflip"], "--flip: goes with --formats=saved_model"),
        (["--output=x", "--weights=no_weights"], "no_weights"),
        (["--output={tmp}/x", "--weights={weights}", "--data=no_records"], "no_records"),
    ],
)
def test_bad_input_is_one_line(flags, message, weights, tmp_path, capsys):
    assert run(*[flag.format(weights=weights, tmp=tmp_path) for flag in flags]) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert message in told[0]
    assert not os.listdir(tmp_path)


def test_int8_is_for_hourglasses():
    def flags(*words):
        return export.declare().parse(["export.py", "--output=x", *words])

    head = network_files.HourglassWeights(landmark_encoder.Sizes(), {}, {})
    other = network_files.HourglassWeights(hourglass.Sizes(), {}, {})
    assert export_run.wanted_formats(flags(), other) == ["saved_model", "float16", "int8"]
    assert export_run.wanted_formats(flags(), head) == ["saved_model", "float16"]
    assert export_run.wanted_formats(flags("--formats=int8"), other) == ["int8"]
    with pytest.raises(InputError, match="--formats=int8: made of hourglasses alone"):
        export_run.wanted_formats(flags("--formats=int8,onnx"), head)


@pytest.mark.slow
def test_an_onnx_file_is_the_network(tmp_path):
    """The shipped network, by ONNX Runtime."""
    for name in ("tf2onnx", "onnxruntime"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed (pip install -e '.[onnx]')")
    assert run("--formats=onnx", "--check=3", f"--output={tmp_path / 'packed'}") == 0
    entry = json.loads((tmp_path / "packed" / "export.json").read_text())["files"]["core.onnx"]
    assert entry["inputs"]["image"].startswith("float32 [N, ")
    assert max(entry["difference"][f"max_{name}"] for name in ("heatmaps", "depths")) <= 1e-4
    assert entry["difference"]["median_px"] < 1e-2
    # As another program calls it, which knows the file alone.
    import onnxruntime

    session = onnxruntime.InferenceSession(str(tmp_path / "packed" / "core.onnx"), providers=["CPUExecutionProvider"])
    (image,) = session.get_inputs()
    crops = np.random.default_rng(2).uniform(0, 255, [2, *image.shape[1:]]).astype(np.float32)
    heatmaps, depths = session.run(["heatmaps", "depths"], {"image": crops})
    expected = formats.heatmaps_and_depths(network_files.default_weights().build("float32"), crops)
    np.testing.assert_allclose(heatmaps, expected["heatmaps"], atol=1e-4)
    np.testing.assert_allclose(depths, expected["depths"], atol=1e-4)


def test_onnx_without_its_packages_is_one_line(weights, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    assert run(f"--weights={weights}", "--formats=onnx", f"--output={tmp_path / 'packed'}") == 2
    error = capsys.readouterr().err
    assert "--formats=onnx needs tf2onnx and onnxruntime (pip install -e '.[onnx]')" in error
    assert error.count("\n") == 1
    assert not os.listdir(tmp_path)


def test_too_much_difference_leaves_nothing(packed, weights, tmp_path, capsys, monkeypatch):
    content = (packed / "core_float16.tflite").read_bytes()
    monkeypatch.setattr(formats, "convert", lambda core, precision, crops: content)
    monkeypatch.setattr(formats, "FLOAT16_BOUND", 0.0)
    flags = ("--formats=float16", "--check=1", f"--output={tmp_path / 'packed'}")
    assert run(f"--weights={weights}", *flags) == 2
    assert "core_float16.tflite: " in capsys.readouterr().err
    assert not os.listdir(tmp_path)


def test_what_is_finished_is_kept_when_another_format_crashes(packed, weights, tmp_path, capsys, monkeypatch):
    whole = (packed / "core_float16.tflite").read_bytes()
    monkeypatch.setattr(formats, "convert", lambda core, precision, crops: whole)
    run_file = tflite_process.run

    def crash_of_int8(content, crops, name):
        with monkeypatch.context() as patch:
            if "int8" in name:
                patch.setattr(tflite_process, "_CODE", "import os; os.abort()")
            return run_file(content, crops, name)

    monkeypatch.setattr(tflite_process, "run", crash_of_int8)
    flags = ("--formats=float16,int8", "--check=1", "--calibrate=1", f"--output={tmp_path / 'packed'}")
    assert run(f"--weights={weights}", *flags) == 2
    error = capsys.readouterr().err
    assert "core_int8.tflite: TFLite crashed when it ran it (SIGABRT); what else was asked for is in" in error
    assert error.count("\n") == 1
    assert sorted(os.listdir(tmp_path / "packed")) == ["core_float16.tflite", "export.json"]
    content = json.loads((tmp_path / "packed" / "export.json").read_text())
    assert list(content["failed"]) == ["core_int8.tflite"]


def test_a_file_that_is_no_network_fails_in_its_own_process():
    with pytest.raises(InputError, match=r"a\.tflite: TFLite failed when it ran it \("):
        tflite_process.run(b"no network", np.zeros((1, 64, 64, 3), np.float32), "a.tflite")


def test_help_needs_no_tensorflow(start_command):
    started = start_command("baseline_network/export.py", "--help", PYTHONPROFILEIMPORTTIME="1")
    printed, imported = started.communicate(timeout=60)
    assert started.returncode == 0
    assert "--formats" in printed
    assert "tools.cli.command" in imported
    assert "tensorflow" not in imported
