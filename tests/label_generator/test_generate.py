"""generate: its labels are the lifter's, in bounded memory, after any interruption, in every format that it writes."""

import functools
import json
import os
import subprocess
import sys
import zipfile

import cv2
import numpy as np
import pytest

from label_generator import generate
from label_generator.labelling import inputs as label_inputs
from label_generator.labelling import lifted_batches
from label_generator.labelling import run as label_run
from label_generator.lifting import lifter
from tfrecords import reader
from tfrecords.source import Options
from tfrecords.sources import open_source
from tools.cli.errors import InputError
from tools.files import columns as label_files
from tools.pose import bones, joints

COUNT = 300
BATCH = 64


@pytest.fixture
def run(run_command, published_weights):
    """run(*flags): the exit status of generate with the published weights and small batches."""
    return functools.partial(run_command, generate, f"--weights={published_weights}", f"--batch_size={BATCH}")


@pytest.fixture(scope="module")
def archive(tmp_path_factory, people):
    """All people with their cameras as one .npz."""
    path = tmp_path_factory.mktemp("poses") / "poses.npz"
    np.savez(path, poses_2d=people.pose_2d, intrinsics=people.intrinsics)
    return path


@pytest.fixture(scope="module")
def lifted(published_weights, people):
    """What the lifter says of all people at once."""
    return lifter.load_lifter([published_weights]).lift(people.pose_2d, people.intrinsics)


def load(folder):
    with np.load(folder / "labels.npz", allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def test_labels_are_the_lifters(run, tmp_path, archive, people, lifted, capsys):
    out = tmp_path / "new" / "out"
    assert run(f"--input={archive}", "--joints=pose17", f"--output={out}") == 0
    labels = load(out)
    for name, field in (("poses_3d", "pose_3d"), ("roots", "root_3d"), ("coarse_3d", "coarse_3d")):
        np.testing.assert_allclose(labels[name], getattr(lifted, field), atol=0.05)
    for name in ("quality", "joint_quality", "residual_mm", "expected_error_mm"):
        np.testing.assert_allclose(labels[name], getattr(lifted, name), rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(labels["at_range_end"], lifted.at_range_end)
    np.testing.assert_array_equal(labels["poses_2d"], people.pose_2d)
    np.testing.assert_array_equal(labels["intrinsics"], people.intrinsics)
    assert (labels["provenance"] == joints.LABELLED).all()
    assert labels["camera_kinds"][labels["camera_kind"]].tolist() == ["given"] * COUNT
    assert labels["reasons"][labels["reason"]].tolist() == [""] * COUNT
    assert labels["files"][labels["file"]].tolist() == ["poses.npz"] * COUNT
    assert labels["frame"].tolist() == list(range(COUNT))
    assert labels["weights"][0].startswith("test-left2right+test-pose3d (published, ")
    assert sorted(os.listdir(out)) == ["labels.npz", "summary.json"]
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["poses"], summary["labels"], summary["camera_kinds"]) == (COUNT, COUNT, {"given": COUNT})
    assert sum(summary["quality_histogram"]) == COUNT
    assert summary["quality_quantiles"]["0.5"] == pytest.approx(np.median(labels["quality"]), abs=2e-3)
    assert summary["mean_expected_error_mm"] == pytest.approx(labels["expected_error_mm"].mean(), rel=1e-4)
    assert summary["depth_at_range_end"] == labels["at_range_end"].sum()
    text = capsys.readouterr().out
    assert "300 labels for 300 poses" in text
    assert text.endswith(f"written to {out / 'labels.npz'}\n")


def test_all_poses_of_one_person(run, tmp_path, archive, lifted, capsys):
    assert run(f"--input={archive}", "--joints=pose17", f"--output={tmp_path}", "--one_person") == 0
    labels = load(tmp_path)
    own, single = (
        np.linalg.norm(poses[:, bones.ENDS] - poses[:, bones.STARTS], axis=-1)
        for poses in (labels["poses_3d"], lifted.pose_3d.numpy())
    )
    assert np.ptp(own, axis=0).max() < 0.1 < np.ptp(single, axis=0).min()
    np.testing.assert_allclose(labels["quality"], lifted.quality, rtol=1e-3, atol=1e-4)
    assert (labels["track"] == -1).all()
    assert "one person: bone lengths from 300 labels\n" in capsys.readouterr().out


def test_poses_without_a_label(run, tmp_path, people, capsys):
    poses = people.pose_2d[:80].copy()
    poses[3] = np.nan
    poses[70, 5] = np.nan
    np.save(tmp_path / "poses.npy", poses)
    flags = f"--input={tmp_path / 'poses.npy'}", "--joints=pose17", "--camera=h36m"
    assert run(*flags, f"--output={tmp_path / 'all'}") == 0
    labels = load(tmp_path / "all")
    reasons = labels["reasons"][labels["reason"]]
    assert {i: reason for i, reason in enumerate(reasons) if reason} == {
        3: "too few labelled joints",
        70: "no root, or a joint is missing",
    }
    assert np.isnan(labels["poses_3d"][[3, 70]]).all()
    assert "without label: 1, too few labelled joints" in capsys.readouterr().out
    limit = float(np.nanmedian(labels["quality"]))
    assert run(*flags, f"--output={tmp_path / 'good'}", f"--min_quality={limit}") == 0
    good = load(tmp_path / "good")
    low = labels["quality"] < limit
    assert set(good["reasons"][good["reason"][low]]) == {"quality below --min_quality"}
    assert np.isnan(good["poses_3d"][low]).all()
    assert np.isfinite(good["poses_3d"][labels["quality"] >= limit]).all()
    np.testing.assert_array_equal(good["quality"], np.where(low, np.nan, labels["quality"]))


class _Killed(BaseException):
    pass


def test_going_on_after_any_interruption(run, tmp_path, archive, monkeypatch):
    """The labels of a run that was ended again and again, with torn columns left behind, are the same bytes."""
    flags = f"--input={archive}", "--joints=pose17", "--formats=json"
    assert run(*flags, f"--output={tmp_path / 'whole'}") == 0
    out = tmp_path / "torn"
    monkeypatch.setattr(label_run, "_CHECKPOINT_SECONDS", -1.0)
    label, finish = lifted_batches.label_batch, label_run._finish

    def dies_after(batches, then):
        left = [batches]

        def limited(options, made, files, *rest):
            if left[0] == 0:
                then(files)
                raise _Killed
            left[0] -= 1
            label(options, made, files, *rest)

        return limited

    def tears(files):
        for name in ("poses_3d", "file"):
            with open(files.folder / f"{name}.raw", "ab") as file:
                file.write(b"torn")
        with open(files.folder / "file.texts", "ab") as file:
            file.write(b'"half')

    for batches in (1, 0, 2):
        monkeypatch.setattr(lifted_batches, "label_batch", dies_after(batches, tears))
        with pytest.raises(_Killed):
            _bare(flags, out, run)
    monkeypatch.setattr(lifted_batches, "label_batch", label)

    def dies_at_the_end(*arguments):
        finish(*arguments)
        raise _Killed

    monkeypatch.setattr(label_run, "_finish", dies_at_the_end)
    with pytest.raises(_Killed):
        _bare(flags, out, run)
    monkeypatch.setattr(label_run, "_finish", finish)
    assert run(*flags, f"--output={out}") == 0
    for name in ("labels.npz", "labels.json"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert sorted(os.listdir(out)) == sorted(os.listdir(tmp_path / "whole"))


def _bare(flags, out, run):
    """Runs generate without the exit status, so that its end can be a kill."""
    given = [*run.args[1:], *flags, f"--output={out}"]
    generate.main(generate.declare().parse(["generate", *given]))


def test_another_run_does_not_go_on(run, tmp_path, archive, monkeypatch, capsys):
    def dies(*_):
        raise _Killed

    flags = f"--input={archive}", "--joints=pose17", f"--output={tmp_path / 'out'}"
    label = lifted_batches.label_batch
    monkeypatch.setattr(lifted_batches, "label_batch", dies)
    with pytest.raises(_Killed):
        _bare(flags[:2], tmp_path / "out", run)
    monkeypatch.setattr(lifted_batches, "label_batch", label)
    assert run(*flags, "--camera=h36m", "--max_depth_mm=9000") == 2
    assert "holds unfinished labels that differ in settings, camera" in capsys.readouterr().err
    assert run(*flags, "--camera=h36m", "--overwrite") == 0
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["camera_kinds"] == {"assumed": COUNT}
    assert run(*flags) == 2
    assert "labels.npz: exists already; --overwrite replaces it" in capsys.readouterr().err


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, people):
    """COCO key points with four pictures beside them; one person of them is a crowd."""
    folder = tmp_path_factory.mktemp("coco")
    names = {name: i for i, name in enumerate(joints.joint_set("coco17").joints)}
    content = {"images": [], "annotations": [], "categories": []}
    for i in range(4):
        picture = np.random.default_rng(i).integers(0, 255, (64, 96, 3), np.uint8)
        cv2.imwrite(str(folder / f"{i}.jpg"), picture)
        content["images"].append({"id": i, "file_name": f"{i}.jpg", "width": 96, "height": 64})
        for person in range(2):
            pose, points = people.pose_2d[2 * i + person] / 12, np.zeros((17, 3))
            for name, place in names.items():
                ours = name.replace("Ankle", "Foot")
                points[place] = [*pose[joints.POSE17.index(ours) if ours in joints.POSE17.joints else 0], 2]
            entry = {"image_id": i, "category_id": 1, "keypoints": points.ravel().tolist()}
            content["annotations"].append({**entry, "iscrowd": int(i == 2 and person == 1)})
    (folder / "people.json").write_text(json.dumps(content))
    return folder


def test_pictures_to_records_json_and_wild_npy(run, tmp_path, pictures, capsys):
    out = tmp_path / "out"
    flags = "--formats=json", "--wild_npy", "--tfrecords", "--camera=fov:60"
    assert run(f"--input={pictures / 'people.json'}", f"--output={out}", *flags) == 0
    assert "without label: 1, crowd, not a person" in capsys.readouterr().out
    labels = load(out)
    good = np.flatnonzero(labels["reason"] == 0)
    assert list(good) == [0, 1, 2, 3, 4, 6, 7]
    names = labels["files"][labels["file"]]
    focal = 48 / np.tan(np.radians(30))
    np.testing.assert_allclose(labels["intrinsics"][good], np.tile([focal, focal, 48, 32], (7, 1)), rtol=1e-5)
    assert np.isnan(labels["intrinsics"][5]).all()
    assert labels["camera_kinds"][labels["camera_kind"]].tolist() == ["given"] * 5 + [""] + ["given"] * 2
    head = joints.POSE17.index("Head")
    assert (labels["provenance"][good, head] == joints.MADE).all()

    content = json.loads((out / "labels.json").read_text())
    assert content["joints"] == list(joints.POSE17.joints)
    assert [label["row"] for label in content["labels"]] == list(good)
    for label, row in zip(content["labels"], good):
        assert (label["file"], label["person"]) == (names[row], labels["person"][row])
        np.testing.assert_allclose(label["pose_3d"], labels["poses_3d"][row], atol=0.006)
        assert label["quality"] == pytest.approx(float(labels["quality"][row]), abs=1e-4)
        assert label["camera_kind"] == "given"

    # The published layout, read by the reader of the published file.
    source = open_source("mpii_lsp", out / "wild.npy", Options(images=str(pictures)))
    records = list(source.records(np.arange(len(source))))
    assert [record.file for record in records] == list(names[good])
    np.testing.assert_allclose([record.pose_3d for record in records], labels["poses_3d"][good], atol=1e-3)
    np.testing.assert_array_equal([record.pose_2d for record in records], labels["poses_2d"][good])

    made = reader.load_arrays(out / "tfrecords")
    pixels = reader.load_arrays(out / "tfrecords", ["image"])["image"]
    assert list(made["file"]) == list(names[good])
    assert [data == (pictures / name).read_bytes() for data, name in zip(pixels, made["file"])] == [True] * 7
    np.testing.assert_array_equal(made["pose_3d"], labels["poses_3d"][good])
    np.testing.assert_array_equal(made["root_3d"], labels["roots"][good])
    np.testing.assert_array_equal(made["quality"], labels["quality"][good])
    np.testing.assert_array_equal(made["joint_quality"], labels["joint_quality"][good])
    assert (made["provenance_3d"][:, head] == joints.MADE).all()
    assert set(made["camera_kind"]) == {"given"}
    assert set(made["weights"]) == {str(labels["weights"][0])}
    manifest = json.loads((out / "tfrecords" / "manifest.json").read_text())
    assert manifest["source"]["name"] == "coco-labels"
    assert manifest["skipped"]["crowd, not a person"]["count"] == 1


def test_pictures_that_are_not_there(run, tmp_path, pictures, capsys):
    """They are missed before anything is lifted: the message says how to go on, and that is true."""
    empty, out = tmp_path / "empty", tmp_path / "out"
    empty.mkdir()
    flags = f"--input={pictures / 'people.json'}", f"--output={out}", "--tfrecords", "--camera=fov:60"
    assert run(*flags, f"--images={empty}") == 2
    assert "is empty; --images=none leaves pictures out" in capsys.readouterr().err
    assert not (out / "labels.npz").exists()
    assert run(*flags, "--images=none") == 0
    assert (out / "labels.npz").exists()
    assert len(reader.load_arrays(out / "tfrecords")["file"]) == 7


def test_a_folder_of_pictures_beside_the_input_that_holds_others(run, tmp_path, pictures, capsys):
    """Nobody named it, so records go without pictures, as they do where there is no such folder."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "another.jpg").write_bytes((pictures / "0.jpg").read_bytes())
    (tmp_path / "people.json").write_bytes((pictures / "people.json").read_bytes())
    flags = f"--input={tmp_path / 'people.json'}", f"--output={tmp_path / 'out'}", "--tfrecords", "--camera=fov:60"
    assert run(*flags, "--dry_run") == 0
    assert "records with pictures: 0 of the first 8 poses have one" in capsys.readouterr().out
    assert run(*flags) == 0
    assert "records without pictures: " in capsys.readouterr().out
    assert len(reader.load_arrays(tmp_path / "out" / "tfrecords")["file"]) == 7


def test_people_without_a_label_keep_their_2d(run, tmp_path, pictures):
    """With --unlabelled those of too low a quality are there too, without 3D; the others are what they were."""
    some, every = tmp_path / "some", tmp_path / "every"
    common = f"--input={pictures / 'people.json'}", "--tfrecords", "--camera=fov:60"
    assert run(*common, f"--output={some}") == 0
    assert run(*common, f"--output={every}", "--unlabelled") == 0
    labelled, both = (reader.load_arrays(out / "tfrecords") for out in (some, every))
    assert (len(labelled["file"]), len(both["file"])) == (7, 7)  # a crowd is no person, and no record
    low = tmp_path / "low"
    middle = float(np.median(labelled["quality"]))
    assert run(*common, f"--output={low}", "--unlabelled", f"--min_quality={middle}") == 0
    found = reader.load_arrays(low / "tfrecords")
    good = labelled["quality"] >= middle
    assert 0 < good.sum() < 7
    np.testing.assert_array_equal(found["pose_2d"], labelled["pose_2d"])
    np.testing.assert_array_equal(found["pose_3d"][good], labelled["pose_3d"][good])
    assert np.isnan(found["pose_3d"][~good]).all()
    assert (found["provenance_3d"][~good] == joints.MISSING).all()
    assert np.isnan(found["quality"][~good]).all()


def test_records_in_records_out(run, tmp_path, pictures, people, capsys):
    """Unknown cameras: the records say that depth is nominal and name no place. Their labels can be made again."""
    first, second = tmp_path / "first", tmp_path / "second"
    common = "--tfrecords", "--images=none", "--camera=unknown"
    assert run(f"--input={pictures / 'people.json'}", f"--output={first}", *common) == 0
    made = reader.load_arrays(first / "tfrecords")
    assert set(made["camera_kind"]) == {"nominal"}
    assert np.isnan(made["root_3d"]).all()
    assert np.isnan(made["intrinsics"]).all()
    assert run(f"--input={first / 'tfrecords'}", f"--output={second}", "--tfrecords") == 0
    again = reader.load_arrays(second / "tfrecords")
    np.testing.assert_allclose(again["pose_3d"], made["pose_3d"], atol=0.05)
    for field in ("file", "person", "pose_2d", "provenance_2d", "camera_kind", "dataset"):
        np.testing.assert_array_equal(again[field], made[field], err_msg=field)
    assert "roots tell no distance" in capsys.readouterr().out


def test_columns_on_disk(tmp_path):
    """Columns against lists, over many texts and a restart in the middle."""
    columns = {"a": ("<f4", (2,)), "b": ("|u1", ()), "name": ("<i4", ())}
    rng = np.random.default_rng(0)
    texts = [f'{i % 700}\n"ü{"x" * int(rng.integers(9))}' for i in range(2000)]
    expected_a, expected_b = rng.normal(size=(2000, 2)).astype(np.float32), rng.integers(0, 255, 2000, np.uint8)

    def write(folder, cuts):
        for start, stop in zip(cuts, cuts[1:]):
            files = label_files.LabelFiles(folder, columns, ["name"], {"x": (1, 2)}, ["", "no"])
            assert files.rows == start
            for at in range(start, stop, 50):
                rows = slice(at, min(at + 50, stop))
                files.append({"a": expected_a[rows], "b": expected_b[rows], "name": texts[rows]})
            files.checkpoint()
            files.write_npz(folder / "all.npz", {"extra": np.arange(3)})
            files.close()
        return (folder / "all.npz").read_bytes()

    assert write(tmp_path / "one", [0, 2000]) == write(tmp_path / "more", [0, 300, 350, 1999, 2000])
    with np.load(tmp_path / "one" / "all.npz") as archive:
        np.testing.assert_array_equal(archive["a"], expected_a)
        np.testing.assert_array_equal(archive["b"], expected_b)
        assert archive["names"][archive["name"]].tolist() == texts
        assert archive["extra"].tolist() == [0, 1, 2]
        assert len(archive["names"]) == len(set(texts))
    assert zipfile.ZipFile(tmp_path / "one" / "all.npz").testzip() is None
    with pytest.raises(InputError, match="differ in x"):
        label_files.LabelFiles(tmp_path / "one", columns, ["name"], {"x": 3}, [""])
    os.truncate(tmp_path / "one" / ".partial" / "a.raw", 8)
    with pytest.raises(InputError, match=r"a.raw: shorter than its journal says"):
        label_files.LabelFiles(tmp_path / "one", columns, ["name"], {"x": (1, 2)}, [""])


def test_texts_are_numbered_alike_after_a_restart(tmp_path, monkeypatch):
    """Also where the memory for texts was full when the run ended."""
    monkeypatch.setattr(label_files, "_REMEMBERED", 8)
    texts = [str(i % 13) for i in range(100)]

    def write(folder, step):
        for at in range(0, 100, step):
            files = label_files.LabelFiles(folder, {"t": ("<i4", ())}, ["t"], {}, [""])
            files.append({"t": texts[at : at + step]})
            files.checkpoint()
            table = list(files.texts("t"))
            numbers = files.read("t", 0, 100)
            files.close()
        assert [table[i] for i in numbers] == texts
        return table, numbers.tolist()

    assert write(tmp_path / "a", 100) == write(tmp_path / "b", 4) == write(tmp_path / "c", 1)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--output=out"], "--input must be given"),
        (["--input=IN"], "--output must be given"),
        (["--input=none.json", "--output=out"], "none.json: no such file or folder"),
        (["--input=IN", "--output=out"], "say whose joints these are with --joints"),
        (["--input=IN", "--output=out", "--joints=pose17", "--camera=wide"], "--camera=wide:"),
        (["--input=IN", "--output=out", "--joints=pose17", "--camera=fov:60"], "has no picture size"),
        (["--input=IN", "--output=out", "--joints=pose17", "--image_size=3"], "--image_size=3: expected WIDTH,HEIGHT"),
        (["--input=IN", "--output=out", "--joints=pose17", "--key=x"], "no array 'x'; it has poses_2d, intrinsics"),
        (["--input=IN", "--output=out", "--joints=pose17", "--frame_step=5"], "--frame_step: is for openpose"),
        (
            ["--input=IN", "--output=out", "--joints=pose17", "--images=x"],
            "--images: goes with --tfrecords, or --formats=mp4",
        ),
        (["--input=IN", "--output=out", "--joints=pose17", "--unlabelled"], "--unlabelled: goes with --tfrecords"),
        (["--input=IN", "--output=out", "--joints=pose17", "--min_depth_mm=9000"], "expected min < max"),
        (["--input=IN", "--output=out", "--joints=pose17", "--weights=none"], "none: no weights folder"),
        (["--input=IN", "--output=out", "--format=coco"], "poses.npz"),
        (["--input=IN", "--output=out", "--joints=pose17", "--min_quality=nan"], "a number that is finite"),
        (["--input=IN", "--output=out", "--joints=pose17", "--min_quality=2"], "between 0 and 1"),
        (["--input=IN", "--output=IN", "--joints=pose17"], "is not a folder"),
        (["--input=IN", "--output=out", "--joints=pose17", "--fps=1e-9"], "--fps=1e-09: expected 0.1 to 10,000 frames"),
        (
            ["--input=IN", "--output=out", "--joints=pose17", "--formats=npz,bvh"],
            "--formats=bvh: IN has no sequence of five frames or more",
        ),
    ],
)
def test_bad_input(run, tmp_path, monkeypatch, capsys, archive, flags, message):
    monkeypatch.chdir(tmp_path)
    assert run(*(flag.replace("IN", str(archive)) for flag in flags)) == 2
    error = capsys.readouterr().err
    assert message.replace("IN", str(archive)) in error
    assert error.count("\n") == 1
    assert not os.path.exists("out")


def test_no_weights(run_command, tmp_path, monkeypatch, archive, capsys):
    monkeypatch.setattr("label_generator.lifting.lifter_of_flags.SHIPPED", tmp_path / "weights")
    assert run_command(generate, f"--input={archive}", "--joints=pose17", f"--output={tmp_path / 'out'}") == 2
    error = capsys.readouterr().err
    assert f"no weights: {tmp_path / 'weights'} holds none; give a folder" in error


def test_formats_of_the_flag_are_those_of_the_inputs():
    assert list(generate._FORMATS) == ["auto", *label_inputs.FORMATS]


def test_help_needs_nothing_heavy(repository):
    """Neither NumPy nor TensorFlow is imported before the flags are parsed."""
    names = ("generate", "predict", "gen_right", "search_h36m")
    code = "import sys\nfrom importlib import import_module\n"
    code += f"for name in {names}:\n    import_module('label_generator.' + name).declare().help(name)\n"
    code += "print(sorted({'numpy', 'tensorflow', 'scipy', 'cv2', 'h5py'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
