"""evaluate: the whole command on rendered people, its report, its sheet, and how it refuses."""

import dataclasses
import json
import os
import re

import cv2
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from baseline_network import evaluate
from baseline_network.evaluation import evaluation_report, evaluation_sheet, pose_errors, record_evaluation
from baseline_network.network import hourglass, network_files
from baseline_network.prediction.predictor import Predictor
from tools.cli import command

REPORT = ["confidence.png", "error_by_joint.png", "error_by_visibility.png", "figures.json", "pck_curve.png"]
REPORT += ["sheet.png", "table.md"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A weights folder of a small network of random weights."""
    model = hourglass.build(hourglass.Sizes(1, 1, 16, 64), dtype="float32")
    return network_files.save(tmp_path_factory.mktemp("network") / "net", model, {"crop_margin": 1.1})


def run(*flags):
    """The exit status of the command in this process."""
    with pytest.raises(SystemExit) as ended:
        command.run(evaluate.main, evaluate.declare, ["evaluate.py", *map(str, flags)])
    return ended.value.code or 0


@pytest.fixture(scope="module")
def mixed(rendered_people, write_pictured, tmp_path_factory):
    """9 people of two data sets and three actions, one of them with a broken picture, another without 3D."""
    people = [
        dataclasses.replace(person, dataset="wild" if i < 3 else "lab", action=["Sit", "Walk", "a|b"][i % 3])
        for i, person in enumerate(rendered_people[:9])
    ]
    people[4] = dataclasses.replace(people[4], image=b"broken", file="broken.jpg")
    people[5] = dataclasses.replace(people[5], pose_3d=np.full([17, 3], np.nan), provenance_3d=np.zeros(17, np.uint8))
    return write_pictured(tmp_path_factory.mktemp("mixed") / "mixed.tfrecord", people)


@pytest.fixture(scope="module")
def result(mixed, weights):
    """What evaluate measures, by the library."""
    predictor = Predictor(network_files.load(weights), flip=False)
    return record_evaluation.evaluate_records(predictor, mixed, 4, quiet=True)


def test_the_command(start_command, weights, mixed, result, tmp_path, capsys):
    out = tmp_path / "report"
    flags = [f"--weights={weights}", f"--data={mixed}", "--noflip", "--batch_size=4", "--sheet=1"]
    started = start_command("baseline_network/evaluate.py", *flags, "--actions", f"--output={out}")
    printed, told = started.communicate(timeout=600)
    assert started.returncode == 0, told
    assert re.search(r"left out: 1 records, picture cannot be decoded\n .*record 4 \(broken\.jpg\)", printed)
    assert "mean over actions" in printed
    assert sorted(os.listdir(out)) == REPORT
    found = json.loads((out / "figures.json").read_text())
    for name, value in pose_errors.summary(result.errors).items():
        assert found["all"][name] == pytest.approx(value, rel=1e-4, abs=1e-4), name
    assert (found["all"]["images"], found["all"]["images_3d"]) == (8, 7)
    assert {name: part["images"] for name, part in found["by_dataset"].items()} == {"lab": 5, "wild": 3}
    assert {name: part["images"] for name, part in found["by_action"].items()} == {"Sit": 3, "Walk": 2, "a|b": 3}
    walking = result.rows(result.actions == "Walk")
    assert found["by_action"]["Walk"]["p_mpjpe"] == pytest.approx(pose_errors.summary(walking)["p_mpjpe"], rel=1e-4)
    assert found["action_wise"]["mpjpe_published"] == pytest.approx(
        np.mean([part["mpjpe_published"] for part in found["by_action"].values()])
    )
    assert found["skipped"] == {"picture cannot be decoded": 1}
    assert found["settings"]["margin"] == 1.1  # as the network's facts say
    table = (out / "table.md").read_text()
    assert f"{found['all']['mpjpe_metric/LWrist']:.1f}" in table
    assert "a\\|b" in table
    for name in REPORT:
        if name.endswith(".png"):
            assert cv2.imread(str(out / name)).std() > 5

    # Not replaced without being told so; and once more, in another process, the same report.
    before = {name: (out / name).read_bytes() for name in REPORT}
    capsys.readouterr()
    assert run(*flags, f"--output={out}") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run(*flags, f"--output={out}", "--overwrite") == 0
    again = json.loads((out / "figures.json").read_text())
    assert numbers_of(again).keys() == numbers_of(found).keys()
    for name, value in numbers_of(found).items():  # sums of another number of threads round differently
        assert numbers_of(again)[name] == pytest.approx(value, rel=1e-5, nan_ok=True), name
    for name in REPORT:
        if not name.endswith(".json"):
            assert (out / name).read_bytes() == before[name], name


def numbers_of(figures, place=""):
    """What a report says, by its place in it."""
    if isinstance(figures, (dict, list)):
        parts = figures.items() if isinstance(figures, dict) else enumerate(figures)
        return {name: one for key, value in parts for name, one in numbers_of(value, f"{place}/{key}").items()}
    return {place: figures}


def test_figures_on_standard_output_and_flags_that_change_them(weights, mixed, result, capsys):
    flags = ("--limit=3", "--batch_size=3", "--flip", "--margin=2", "--published_thorax")
    assert run(f"--weights={weights}", f"--data={mixed}", *flags) == 0
    found = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    predictor = Predictor(network_files.load(weights), flip=True, margin=2.0)
    wide = record_evaluation.evaluate_records(predictor, mixed, limit=3, published_thorax=True, quiet=True)
    expected = pose_errors.summary(wide.errors)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)
    plain = pose_errors.summary(result.rows(slice(0, 3)))
    assert found["distance_px"] != pytest.approx(plain["distance_px"], rel=1e-3)


def test_visibility_by_hand(result):
    found = evaluation_report.figures(result)["by_visibility"]
    distances = result.errors["distance_px"]
    assert set(found) == {"visible", "occluded"}
    for name, code in (("visible", 2), ("occluded", 1)):
        chosen = distances[result.visibility == code]
        assert found[name]["joints"] == len(chosen)
        assert found[name]["distance_px"] == pytest.approx(chosen.mean(), rel=1e-5)


def test_without_3d_the_report_has_pixels(result):
    flat = dataclasses.replace(result, errors=dict(result.errors))
    for name in (*pose_errors.LENGTHS, "pck_3d@150", "auc_3d"):
        flat.errors[name] = np.full_like(result.errors[name], np.nan)
    table = evaluation_report.tables(evaluation_report.figures(flat))
    assert re.search(r"\| all +\| +8 \|.* - \|", table)
    pictures = evaluation_report.diagrams(flat)
    assert set(pictures) == {name for name in REPORT if name.endswith(".png")} - {"sheet.png"}
    assert np.any(pictures["error_by_joint.png"] != evaluation_report.diagrams(result)["error_by_joint.png"])


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.one_of(st.just(float("nan")), st.floats(0, 100)), max_size=30), each=st.integers(1, 6))
def test_best_middle_and_worst(values, each):
    picked = evaluation_sheet.chosen(np.array(values), each)
    rows = [row for _, row in picked]
    assert len(set(rows)) == len(rows)
    finite = sorted(value for value in values if np.isfinite(value))
    by_name = {name: [values[row] for what, row in picked if what == name] for name in ("best", "median", "worst")}
    assert len(rows) == min(len(finite), 3 * each) or len(finite) < 3 * each
    assert by_name["best"] == finite[: len(by_name["best"])]
    assert by_name["worst"] == finite[len(finite) - len(by_name["worst"]) :]
    if len(finite) >= 3 * each:
        assert all(len(part) == each for part in by_name.values())
        assert by_name["median"][0] <= np.median(finite) <= by_name["median"][-1] or each < 3
    if finite:
        assert rows


def test_the_sheet_draws_truth_and_prediction(rendered_people, write_pictured, weights, tmp_path):
    """A perfect prediction covers the grey truth; one that is off shows it."""

    class Fixed:
        margin = 1.25

        def __init__(self, off):
            self.off = off

        def from_files(self, encoded, boxes):
            record = rendered_people[0]
            truth = pose_errors.truth_of({
                name: getattr(record, name)[None]
                for name in ("pose_2d", "provenance_2d", "pose_3d", "provenance_3d", "box")
            })  # fmt: skip
            pose = truth["pose_3d"] - truth["pose_3d"][:, 6:7]
            told = {"points": truth["points"] + self.off, "pose_3d": pose, "confidence": np.ones([1, 16])}
            return {name: tf.constant(value, tf.float32) for name, value in told.items()}

    file = write_pictured(tmp_path / "one.tfrecord", rendered_people[:1])
    sheets = []
    for off in (0.0, 60.0):
        result = record_evaluation.evaluate_records(Fixed(off), file, quiet=True)
        sheets.append(evaluation_sheet.contact_sheet(Fixed(off), file, result, 1))
    assert sheets[0].shape == sheets[1].shape
    pure = [int(np.all(sheet == (178, 114, 0), -1).sum()) for sheet in sheets]  # the colour of left limbs
    assert min(pure) > 100
    grey = [int(np.all(sheet[:, :300] == (190, 190, 190), -1).sum()) for sheet in sheets]
    assert grey[1] > 2 * grey[0] + 100


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--data must be given"),
        (["--data=no_records"], "no_records"),
        (["--data={mixed}", "--weights=no_weights"], "no_weights"),
        (["--data={mixed}", "--sheet=3"], "--sheet: goes with --output"),
        (["--data={mixed}", "--output={mixed}"], "is not a folder"),
        (["--data={mixed}", "--weights={weights}", "--margin=50"], "margin 50"),
        (["--data={mixed}", "--batch_size=0"], "batch_size"),
        (["--data={mixed}", "--flop"], "flop"),
    ],
)
def test_bad_input_is_one_line(flags, message, mixed, weights, capsys):
    assert run(*[flag.format(mixed=mixed, weights=weights) for flag in flags]) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert message in told[0]


def test_help_needs_no_tensorflow(start_command):
    started = start_command("baseline_network/evaluate.py", "--help", PYTHONPROFILEIMPORTTIME="1")
    printed, imported = started.communicate(timeout=60)
    assert started.returncode == 0
    places = [printed.index(f"\n  --{name}") for name in ("weights", "data", "[no]flip", "output")]
    assert places == sorted(places)
    assert "tools.cli.command" in imported
    assert "tensorflow" not in imported
