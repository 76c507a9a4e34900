"""Reading: what comes out, in which order, and what damage is called."""

import functools
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from sources_for_tests import noise_record

from tfrecords import reader, writer
from tfrecords.schema import FEATURES
from tfrecords.source import Options
from tfrecords.sources import open_source
from tfrecords.storage import framing, manifest
from tfrecords.storage.example import encode
from tools.cli.errors import InputError

COUNT = 230


def convert(output, count=COUNT, split="train", **options):
    factory = functools.partial(open_source, "sources_for_tests:Noise", "", Options(count=count, split=split))
    return writer.convert(factory, output, quiet=True, num_workers=1, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return convert(tmp_path_factory.mktemp("records"), num_shards=5).folder


@pytest.fixture
def damaged(tmp_path):
    """damaged(change): a conversion, one of whose shards change(path) damages; returns folder and shard."""

    def make(change):
        content = convert(tmp_path / "out", 30, num_shards=3)
        path = content.folder / content.shards[1].file
        change(path)
        return content.folder, path

    return make


def frames(batches):
    return [batch["frame"].numpy().tolist() for batch in batches]


def flat(batches):
    return [frame for batch in frames(batches) for frame in batch]


def test_arrays_hold_every_field_in_the_written_order(folder):
    arrays = reader.load_arrays(folder)
    assert list(arrays) == [feature.field for feature in FEATURES if feature.field != "image"]
    for number in (0, 1, 100, COUNT - 1):
        record = noise_record(number)
        for field, values in arrays.items():
            expected = getattr(record, field)
            np.testing.assert_array_equal(values[number], np.float32(expected) if field == "quality" else expected)
            assert len(values) == COUNT
    assert isinstance(arrays["action"][0], str)
    assert {field: arrays[field].dtype for field in ("pose_2d", "frame", "provenance_2d")} == {
        "pose_2d": np.float32,
        "frame": np.int64,
        "provenance_2d": np.uint8,
    }


def test_arrays_of_some_fields_and_records(folder):
    arrays = reader.load_arrays(folder, ["frame", "subject"], limit=50)
    assert arrays["frame"].tolist() == list(range(50))
    assert arrays["subject"].tolist() == [f"S{n % 7}" for n in range(50)]
    with pytest.raises(InputError, match="no such field of a record: pose_4d; there are dataset, split"):
        reader.load_arrays(folder, ["pose_4d"])


def test_only_the_wanted_fields_are_parsed(tmp_path):
    import tensorflow as tf

    # 'pose/2d' has the wrong size, so parsing it would fail.
    example = tf.train.Example.FromString(encode(noise_record(5)))
    example.features.feature["pose/2d"].float_list.value.append(1.0)
    with framing.RecordFile(tmp_path / "a.tfrecord", False) as file:
        file.write(example.SerializeToString())
    where = str(tmp_path / "*.tfrecord")
    assert reader.load_arrays(where, ["frame"])["frame"].tolist() == [5]
    message = "a.tfrecord: record 0: not a pose record at pose/2d: 34 numbers expected, 35 found"
    with pytest.raises(InputError, match=message):
        reader.load_arrays(where, ["frame", "pose_2d"])
    with pytest.raises(InputError, match=message), reader.named_damage(where):
        flat(reader.dataset(where, 4, ["frame", "pose_2d"]))


def test_a_record_of_garbage_is_named(tmp_path):
    """TensorFlow quotes it in an error that Python cannot decode."""
    with framing.RecordFile(tmp_path / "a.tfrecord", False) as file:
        file.write(encode(noise_record(5)))
        file.write(b"\xff\xff\xffgarbage")
    where = str(tmp_path / "*.tfrecord")
    with pytest.raises(InputError, match=r"a.tfrecord: record 1: not a pose record"), reader.named_damage(where):
        flat(reader.dataset(where, 2, ["frame"]))


def test_ways_to_name_a_data_set(folder, tmp_path):
    expected = list(range(COUNT))
    for where in (folder, str(folder), folder / "manifest.json", str(folder / "noise-*"), str(folder / "*.tfrecord")):
        assert reader.load_arrays(where, ["frame"])["frame"].tolist() == expected
    other = convert(tmp_path / "gz", 20, num_shards=2, compressed=True)
    assert reader.load_arrays(other.folder, ["frame"])["frame"].tolist() == list(range(20))
    third = convert(tmp_path / "third", 4)
    both = reader.load_arrays([folder, third.folder], ["frame"])["frame"].tolist()
    assert both == [*range(COUNT), *range(4)]
    with pytest.raises(InputError, match="compressed and plain"):
        reader.load_arrays([folder, other.folder], ["frame"])


def test_unshuffled_batches(folder):
    batches = list(reader.dataset(folder, 100, ["frame", "pose_3d", "action", "provenance_3d"]))
    assert [len(batch["frame"]) for batch in batches] == [100, 100, 30]
    assert flat(batches) == list(range(COUNT))
    assert batches[0]["pose_3d"].shape == (100, 17, 3)
    assert batches[0]["provenance_3d"].dtype.name == "uint8"
    np.testing.assert_array_equal(batches[2]["pose_3d"][29], noise_record(COUNT - 1).pose_3d)
    assert batches[0]["action"][0].numpy() == b"walking"
    full = reader.dataset(folder, 100, ["pose_3d"], drop_remainder=True)
    assert full.element_spec["pose_3d"].shape == (100, 17, 3)
    assert len(list(full)) == 2


def test_orders_of_other_epochs_and_seeds_are_unlike():
    size, batch = 20000, 1000
    arrays = {"row": np.arange(size)}

    def orders(seed):
        rows = np.concatenate([b["row"] for b in reader.from_arrays(arrays, batch, shuffle_seed=seed, epochs=2)])
        return rows.reshape(2, size)

    found = np.concatenate([[arrays["row"]], *(orders(seed) for seed in (0, 1, 2))])
    assert all(len(set(order)) == size for order in found)
    apart = np.abs(np.corrcoef(found)[np.triu_indices(len(found), 1)])
    assert apart.max() < 5 / np.sqrt(size)  # five standard deviations of what random orders have
    assert len(set(found[1:, :5].ravel())) > 20  # and the first rows are others


@pytest.mark.parametrize("cache", [False, True])
def test_order_is_a_function_of_seed_and_epoch(folder, cache):
    import tensorflow as tf

    read = functools.partial(reader.dataset, folder, 50, ["frame"], cache=cache)
    two = frames(read(shuffle_seed=7, epochs=2))
    first, second = list(itertools.chain(*two[:5])), list(itertools.chain(*two[5:]))
    assert sorted(first) == sorted(second) == list(range(COUNT))
    assert first != second
    assert abs(np.corrcoef(first, np.arange(COUNT))[0, 1]) < 0.3
    tf.random.set_seed(12345)
    assert frames(read(shuffle_seed=7, epochs=2)) == two
    assert frames(read(shuffle_seed=8, epochs=2)) != two
    # Goes on at any step as if the ones before had been taken.
    for step in (3, 5, 8):
        assert frames(read(shuffle_seed=7, epochs=2, start_step=step)) == two[step:]
    endless = read(shuffle_seed=7, epochs=None, start_step=8)
    assert frames(endless.take(2)) == two[8:]
    options = {"shuffle_seed": 7, "cache": cache}
    assert frames(reader.epoch_dataset(folder, 50, 1, ["frame"], **options)) == two[5:]


@pytest.mark.parametrize("cache", [False, True])
def test_workers_share_the_records_without_overlap(folder, cache):
    options = {"shuffle_seed": 1, "cache": cache}
    parts = [flat(reader.dataset(folder, 16, ["frame"], shard=(index, 2), **options)) for index in range(2)]
    assert sorted(parts[0] + parts[1]) == list(range(COUNT))
    assert min(map(len, parts)) > 80
    again = [flat(reader.epoch_dataset(folder, 16, 0, ["frame"], shard=(i, 2), **options)) for i in range(2)]
    assert again == parts
    with pytest.raises(InputError, match="5 shards can't be divided among 6 workers"):
        reader.dataset(folder, 16, shard=(0, 6))
    with pytest.raises(InputError, match="the index must be below the count"):
        reader.dataset(folder, 16, shard=(2, 2))


def test_arrays_of_the_caller(folder):
    arrays = {"x": np.arange(10), "y": np.arange(10.0) ** 2}
    batches = list(reader.from_arrays(arrays, 4, shuffle_seed=3))
    assert sorted(n for batch in batches for n in batch["x"].numpy()) == list(range(10))
    for batch in batches:
        np.testing.assert_array_equal(batch["x"].numpy() ** 2, batch["y"].numpy())
    with pytest.raises(InputError, match="same length"):
        reader.from_arrays({"x": np.arange(3), "y": np.arange(4)}, 2)
    with pytest.raises(InputError, match="10 records don't fill one batch of 11"):
        reader.from_arrays(arrays, 11, drop_remainder=True)


def cut(path):
    os.truncate(path, path.stat().st_size - 5)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(framing.frame(encode(noise_record(10)))) + 40] ^= 4
    path.write_bytes(data)


def test_a_truncated_shard_is_one_line(damaged):
    folder, path = damaged(cut)
    for read in (reader.find, reader.load_arrays, functools.partial(reader.dataset, batch_size=4)):
        with pytest.raises(InputError, match=f"{path}: shard is cut short"):
            read(folder)


def test_a_missing_shard_is_one_line(damaged):
    folder, path = damaged(os.unlink)
    with pytest.raises(InputError, match=f"{path}: shard is missing, manifest.json names it"):
        reader.find(folder)
    with pytest.raises(InputError, match=f"{path}: shard is missing, only 2 of 3 were found"):
        reader.find(f"{folder}/*.tfrecord")
    (folder / "manifest.json").unlink()
    with pytest.raises(InputError, match=f"{path}: shard is missing, only 2 of 3 were found"):
        reader.find(f"{folder}/*.tfrecord")


def test_a_flipped_byte_is_named_by_shard_and_record(damaged):
    folder, path = damaged(flip)
    with pytest.raises(InputError, match=f"{path}: record 1: its checksum does not fit"):
        reader.load_arrays(folder)
    with pytest.raises(InputError, match=f"{path}: record 1: "), reader.named_damage(folder):
        flat(reader.dataset(folder, 4, ["frame"], shuffle_seed=1))
    with pytest.raises(InputError, match=f"{path}: shard is damaged, its SHA-256 is not the manifest's"):
        reader.find(folder, verify=True)


def test_verify_accepts_what_is_whole(folder):
    assert len(reader.find(folder, verify=True)) == COUNT


def test_places_without_records(tmp_path, folder):
    with pytest.raises(InputError, match=r"manifest\.json: no such file; a folder without it holds no finished"):
        reader.find(tmp_path)
    with pytest.raises(InputError, match=r"none-\*: no such file or folder"):
        reader.find(tmp_path / "none-*")
    with pytest.raises(InputError, match="no TFRecords named"):
        reader.find([])
    (tmp_path / "a.tfrecord").write_bytes(b"")
    with pytest.raises(InputError, match="no records"):
        reader.find(tmp_path / "*.tfrecord")
    stranger = folder / manifest.shard_name("stranger", 0, 1)
    stranger.write_bytes(b"")
    try:
        with pytest.raises(InputError, match=r"stranger-00000-of-00001.tfrecord: not in the manifest.json beside it"):
            reader.find(str(folder / "*.tfrecord"))
    finally:
        stranger.unlink()


def test_pictures_are_noticed_and_read(tmp_path, encode):
    picture = encode(64, 48)
    (tmp_path / "a.jpg").write_bytes(picture)
    (tmp_path / "names.txt").write_text("a.jpg")
    factory = functools.partial(open_source, "sources_for_tests:Pictures", tmp_path)
    writer.convert(factory, tmp_path / "out", quiet=True)
    assert reader.find(tmp_path / "out").has_images()
    assert reader.load_arrays(tmp_path / "out", ["image"])["image"].tolist() == [picture]


def test_several_sets_by_one_text_with_commas(folder, tmp_path):
    other = convert(tmp_path / "other", 30, num_shards=2).folder
    assert len(reader.find(f"{folder},{other}")) == COUNT + 30
    assert len(reader.load_arrays(f"{folder},{other}", ["frame"])["frame"]) == COUNT + 30


def test_importing_the_reader_imports_neither_addons_nor_matplotlib(repository):
    code = "import sys, tfrecords.reader; print(sorted({'tensorflow_addons', 'matplotlib', 'cv2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=repository)
    assert done.stdout.strip() == "[]", done.stderr


def test_tfrecords_of_something_else_are_named(tmp_path):
    import tensorflow as tf

    features = {"image/object/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[1]))}
    example = tf.train.Example(features=tf.train.Features(feature=features))
    with framing.RecordFile(tmp_path / "a.tfrecord", False) as file:
        file.write(example.SerializeToString())
    with pytest.raises(InputError, match=r"a\.tfrecord: TFRecords, but not of poses"):
        reader.find(str(tmp_path / "*.tfrecord"))
