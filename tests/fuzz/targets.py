"""For each format: a sound sample, what changes it, and the reader."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.fuzz import array_mutators, mutators, samples, stream_mutators
from tests.fuzz.mutators import Mutator

_RECORDS = 40  # that are read of one case


@dataclasses.dataclass(frozen=True)
class Target:
    """One format.

    Attributes:
      make: the sample: names below a folder -> bytes.
      changed: name -> mutator of each file that is changed.
      read: reads the sample from its folder; raises `InputError` when it can't.
      tensorflow: whether reading imports TensorFlow.
    """

    make: Callable[[], samples.Files]
    changed: dict[str, Mutator]
    read: Callable[[pathlib.Path], Any]
    tensorflow: bool = False


def check_record(record: Any) -> None:
    """Raises AssertionError when a record that was read is not what its documentation says."""
    from tfrecords.storage import example

    if record.problem():  # it is left out by the writer, with that reason, and gets no label
        return
    for pose, provenance in ((record.pose_2d, record.provenance_2d), (record.pose_3d, record.provenance_3d)):
        known = np.isfinite(pose).all(-1)
        assert (known == (provenance != 0)).all() or not provenance.any(), "provenance and numbers differ"
        assert not known.any() or np.abs(pose[known]).max() < 1e9, "a joint beyond all bounds"
    for text in (record.file, record.subject, record.action, record.sequence, record.camera):
        text.encode("utf-8", "surrogateescape")  # names of files that are not UTF-8 keep their bytes
    again = example.decode(example.encode(record))
    assert again.file == record.file
    assert np.array_equal(again.pose_2d, record.pose_2d, equal_nan=True)


def _source(name: str, file: str, folder: pathlib.Path, **options: Any) -> None:
    from tfrecords.source import Options, Skip, read_records
    from tfrecords.sources import open_source

    source = open_source(name, folder / file, Options(**options))
    count = len(source)
    assert 0 <= count < 1 << 50
    for record in read_records(source, np.arange(min(count, _RECORDS))):
        if not isinstance(record, Skip):
            check_record(record)


def source(name: str, file: str = "", **options: Any) -> Callable[[pathlib.Path], None]:
    """Reads records of a source."""
    return functools.partial(_source, name, file, **options)


def _label_input(file: str, folder: pathlib.Path, **options: Any) -> None:
    from label_generator.labelling import formats, inputs

    path = str(folder / file)
    poses = inputs.open_input(inputs.Spec(path, formats.guess_format(path), **options))
    for number, batch in enumerate(inputs.read_batches(poses, 0, 16)):
        known = np.isfinite(batch.poses_2d).all(-1)
        assert ((batch.provenance != 0) == known).all(), "provenance and numbers differ"
        for text in (*batch.file, *batch.sequence):
            text.encode("utf-8")
        if number > 2:
            break


def label_input(file: str, **options: Any) -> Callable[[pathlib.Path], None]:
    """Reads batches as generate.py does, the format being guessed."""
    return functools.partial(_label_input, file, **options)


def _read_shard(folder: pathlib.Path) -> None:
    from tfrecords.storage import example, framing

    path = folder / samples.SHARD
    frames = list(framing.read_frames(path))
    assert framing.count_records(path) == len(frames)
    for data in frames:
        check_record(example.decode(data))


def _inspect(folder: pathlib.Path) -> None:
    from tfrecords.storage import inspection

    inspection.inspect([folder], samples=2)


def _read_manifest(folder: pathlib.Path) -> None:
    from tfrecords.storage import manifest

    content = manifest.read_manifest(folder)
    content.check_sizes()
    assert content.records >= 0


def _dataset(folder: pathlib.Path) -> None:
    from tfrecords import reader

    with reader.named_damage(str(folder)):
        for _, batch in zip(
            range(3), reader.dataset(str(folder), 2, ("pose_2d", "pose_3d", "file")).as_numpy_iterator()
        ):
            assert batch["pose_2d"].shape[1:] == (17, 2)


def _read_decisions(folder: pathlib.Path) -> None:
    from tools.files.decisions import Decisions

    decisions = Decisions(folder / "decisions.json")
    decisions.fate("a.jpg", "", -1, 0, 0)
    assert decisions.by_row >= 0


def _load_cameras(loader: str, file: str, folder: pathlib.Path) -> None:
    from tools.pose import cameras

    for camera in getattr(cameras, loader)(folder / file).values():
        assert np.isfinite(camera.project(np.array([[0.0, 0, 3000]]))).all()


def _read_statistics(folder: pathlib.Path) -> None:
    from label_generator.networks import normalization

    normalization.load_statistics(folder / "statistics.json")


def _read_calibration(folder: pathlib.Path) -> None:
    from label_generator.lifting import quality

    quality.load_calibration(folder / "quality.json")


def _read_model(folder: pathlib.Path) -> None:
    from label_generator.networks import network_files

    for network in network_files.find_networks([folder]).values():
        assert all(np.isfinite(value).all() for value in network.variables.values())


def _read_weights(folder: pathlib.Path) -> None:
    from tools.files import weights_folder

    weights_folder.read_variables(folder)


def _read_picture(file: str, folder: pathlib.Path) -> None:
    from tfrecords.formats import images, photographs
    from tfrecords.source import Skip

    if not (folder / file).exists():
        return
    data = (folder / file).read_bytes()
    for verify in (False, True):
        found = images.inspect(data, file, verify)
        assert isinstance(found, (images.Image, Skip))
    photo = photographs.read(folder / file)
    assert isinstance(photo, Skip) or photo.pixels.shape[2:] == (3,)


def _read_video(folder: pathlib.Path) -> None:
    from tfrecords.formats import photographs

    for _, photo in zip(range(5), photographs.Video(folder / "a.gif").photos()):
        assert photo.pixels.shape[2:] == (3,)


def _read_picture_tar(folder: pathlib.Path) -> None:
    from tfrecords.formats import images

    pictures = images.Pictures(folder / "a.tar")
    for name in ("a.jpg", "../a.jpg", "b.jpg"):
        pictures.read(name)


def _load_mat(variable: str, file: str, folder: pathlib.Path) -> None:
    from tfrecords.formats.mat import load_mat

    load_mat(folder / file, variable)


def _load_objects(file: str, folder: pathlib.Path) -> None:
    from tfrecords.formats import unpickle

    unpickle.load_objects(folder / file)


def _read_bvh(folder: pathlib.Path) -> None:
    from tfrecords.sources import mocap

    poses, provenance = mocap.read_bvh(folder / "a.bvh")
    assert poses.shape[1:] == (17, 3)
    assert provenance.shape == (17,)


def _picture_files(suffix: str) -> samples.Files:
    return {f"a{suffix}": samples.picture_bytes(suffix)}


def _only(mutator: Mutator, *names: str) -> dict[str, Mutator]:
    return dict.fromkeys(names, mutator)


_json_m, _npy_m, _text_m, _hdf5_m = (
    mutators.mutate_json,
    array_mutators.mutate_npy,
    mutators.mutate_text,
    array_mutators.mutate_hdf5,
)


def _zip_of(member: Mutator) -> Mutator:
    return functools.partial(array_mutators.mutate_zip, member=member)


def _either(*choices: Mutator) -> Mutator:
    def change(data: bytes, rng: random.Random) -> bytes:
        return rng.choice(choices)(data, rng)

    return change


_PLAIN_JSON = {"images": "none"}


TARGETS: dict[str, Target] = {
    "coco": Target(samples.coco_files, _only(_json_m, "a.json"), source("coco", "a.json", **_PLAIN_JSON)),
    "coco_results": Target(
        samples.coco_results_files,
        _only(_json_m, "results.json"),
        source("coco_results", "results.json", **_PLAIN_JSON),
    ),
    "openpose": Target(samples.openpose_files, _only(_json_m, *samples.openpose_files()), source("openpose")),
    "openpose_tar": Target(
        samples.openpose_tar_files, _only(stream_mutators.mutate_tar, "a.tar"), source("openpose", "a.tar")
    ),
    "mmpose": Target(samples.mmpose_files, _only(_json_m, "a.json"), source("mmpose", "a.json")),
    "mediapipe": Target(
        samples.mediapipe_files,
        _only(_either(_json_m, mutators.mutate_json_lines), "a.json"),
        source("mediapipe", "a.json"),
    ),
    "yolo": Target(samples.yolo_files, _only(_text_m, "0.txt", "1.txt"), source("yolo", image_size=(480, 480))),
    "yolo_json": Target(samples.yolo_json_files, _only(_json_m, "a.json"), source("yolo", "a.json")),
    "deeplabcut": Target(samples.deeplabcut_files, _only(_text_m, "a.csv"), source("deeplabcut", "a.csv")),
    "aichallenger": Target(
        samples.aichallenger_files, _only(_json_m, "a.json"), source("aichallenger", "a.json", **_PLAIN_JSON)
    ),
    "lsp": Target(
        samples.lsp_files, _only(array_mutators.mutate_mat, "joints.mat"), source("lsp", "joints.mat", **_PLAIN_JSON)
    ),
    "mpii_mat": Target(
        samples.mpii_mat_files,
        _only(array_mutators.mutate_mat, "annot.mat"),
        source("mpii", "annot.mat", **_PLAIN_JSON),
    ),
    "mat": Target(
        samples.mpii_mat_files,
        _only(array_mutators.mutate_mat, "annot.mat"),
        functools.partial(_load_mat, "RELEASE", "annot.mat"),
    ),
    "mpii_json": Target(
        samples.mpii_json_files, _only(_json_m, "mpii.json"), source("mpii", "mpii.json", **_PLAIN_JSON)
    ),
    "mpii_h5": Target(samples.mpii_h5_files, _only(_hdf5_m, "annot.h5"), source("mpii", "annot.h5", **_PLAIN_JSON)),
    "h36m_images": Target(
        samples.h36m_images_files, _only(_hdf5_m, "annot_train.h5"), source("h36m_images", **_PLAIN_JSON)
    ),
    "h36m_h5": Target(
        samples.h36m_folder_files,
        _only(_hdf5_m, "S1/MyPoses/3D_positions/Walking.h5"),
        source("h36m", cameras_style="wild"),
    ),
    "h36m_npz": Target(
        samples.h36m_npz_files,
        _only(_zip_of(_npy_m), "data_3d_h36m.npz"),
        source("h36m", "data_3d_h36m.npz", cameras_style="wild"),
    ),
    "mocap_npz": Target(
        samples.mocap_npz_files,
        {"m.npz": _zip_of(_npy_m), "m_index.json": _json_m},
        source("mocap", "m.npz", cameras_style="wild"),
    ),
    "mocap_bvh": Target(samples.bvh_files, _only(_text_m, "a.bvh"), source("mocap", "a.bvh", cameras_style="level")),
    "bvh": Target(samples.bvh_files, _only(_text_m, "a.bvh"), _read_bvh),
    "videopose3d": Target(
        samples.videopose3d_files,
        _only(_zip_of(_npy_m), "data_2d_h36m_gt.npz"),
        source("videopose3d", "data_2d_h36m_gt.npz"),
    ),
    "mpii_lsp": Target(samples.wild_files, _only(_npy_m, "wild.npy"), source("mpii_lsp", "wild.npy", **_PLAIN_JSON)),
    "pickle": Target(
        samples.pickle_files, _only(array_mutators.mutate_pickle, "a.pkl"), functools.partial(_load_objects, "a.pkl")
    ),
    "pickle_npy": Target(samples.wild_files, _only(_npy_m, "wild.npy"), functools.partial(_load_objects, "wild.npy")),
    "npy": Target(samples.poses_npy_files, _only(_npy_m, "a.npy"), label_input("a.npy", joints="pose17")),
    "npz": Target(samples.poses_npz_files, _only(_zip_of(_npy_m), "a.npz"), label_input("a.npz", joints="pose17")),
    "csv": Target(
        samples.poses_csv_files, _only(_text_m, "a.csv"), label_input("a.csv", joints="coco17", layout="interleaved")
    ),
    "people": Target(samples.people_files, _only(_zip_of(_npy_m), "people.npz"), label_input("people.npz")),
    "guess": Target(samples.coco_results_files, _only(_json_m, "results.json"), label_input("results.json")),
    "npy_tree": Target(samples.trees_files, _only(_npy_m, *samples.trees_files()), source("npy_tree")),
    "leftright2d": Target(
        lambda: {
            "left/a.npy": samples.trees_files()["2d_left/9/Walking/a.npy"],
            "right/a.npy": samples.trees_files()["2d_right/9/Walking/a.npy"],
        },
        _only(_npy_m, "left/a.npy", "right/a.npy"),
        source("leftright2d"),
    ),
    "photos": Target(samples.photos_files, _only(_zip_of(_npy_m), "a.npz"), source("photos", "a.npz", **_PLAIN_JSON)),
    "tfrecord": Target(samples.records_files, _only(stream_mutators.mutate_tfrecord, samples.SHARD), _read_shard),
    "inspect": Target(
        samples.records_files, {samples.SHARD: stream_mutators.mutate_tfrecord, "manifest.json": _json_m}, _inspect
    ),
    "records": Target(
        samples.records_files,
        {samples.SHARD: stream_mutators.mutate_tfrecord, "manifest.json": _json_m},
        source("tfrecords"),
    ),
    "manifest": Target(samples.records_files, _only(_json_m, "manifest.json"), _read_manifest),
    "decisions": Target(samples.decisions_files, _only(_json_m, "decisions.json"), _read_decisions),
    "camera_json": Target(
        lambda: samples.camera_values_files()[0],
        _only(_json_m, "c.json"),
        functools.partial(_load_cameras, "load_h36m_json", "c.json"),
    ),
    "camera_h5": Target(
        lambda: samples.camera_values_files()[1],
        _only(_hdf5_m, "cameras.h5"),
        functools.partial(_load_cameras, "load_h36m_h5", "cameras.h5"),
    ),
    "statistics": Target(samples.statistics_files, _only(_json_m, "statistics.json"), _read_statistics),
    "weights": Target(samples.weights_files, _only(_zip_of(_npy_m), "weights.npz"), _read_weights),
    "model": Target(samples.model_files, {"model.json": _json_m, "weights.npz": _zip_of(_npy_m)}, _read_model),
    **{
        name: Target(
            functools.partial(_picture_files, suffix),
            _only(stream_mutators.mutate_picture, f"a{suffix}"),
            functools.partial(_read_picture, f"a{suffix}"),
        )
        for name, suffix in (("jpeg", ".jpg"), ("png", ".png"), ("bmp", ".bmp"), ("tiff", ".tiff"), ("webp", ".webp"))
    },
    "gif": Target(lambda: {"a.gif": samples.gif_bytes()}, _only(stream_mutators.mutate_picture, "a.gif"), _read_video),
    "picture_tar": Target(samples.picture_tar_files, _only(stream_mutators.mutate_tar, "a.tar"), _read_picture_tar),
    "dataset": Target(
        samples.records_files, _only(stream_mutators.mutate_tfrecord, samples.SHARD), _dataset, tensorflow=True
    ),
    "calibration": Target(
        samples.calibration_files, _only(_json_m, "quality.json"), _read_calibration, tensorflow=True
    ),
}
