"""The encoder's bytes as TensorFlow reads them, and the decoder on anything."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sources_for_tests import noise_record

from tfrecords import reader, schema
from tfrecords.schema import FEATURES, PoseRecord
from tfrecords.storage import example
from tools.cli.errors import InputError

FLOATS = st.floats(width=32, allow_subnormal=False) | st.just(float("nan"))
TEXTS = st.text(max_size=200)
INT64 = st.integers(-(2**63), 2**63 - 1)


def values_of(feature):
    if feature.kind == "text":
        return TEXTS
    if feature.kind == "bytes":
        return st.binary(max_size=300)
    if feature.kind == "codes":
        return arrays.arrays(np.uint8, feature.shape, elements=st.integers(0, 2))
    numbers = FLOATS if feature.kind == "float" else INT64
    if not feature.shape:
        return numbers.map(np.float32).map(float) if feature.kind == "float" else numbers
    return arrays.arrays(np.float32 if feature.kind == "float" else np.int64, feature.shape, elements=numbers)


# Records with any subset of the fields, each with any value of its type.
RECORDS = st.fixed_dictionaries({}, optional={feature.field: values_of(feature) for feature in FEATURES}).map(
    lambda fields: PoseRecord(**fields)
)


def is_absent(feature, value):
    if feature.kind in ("text", "bytes"):  # NumPy takes b"" and b"\0" for the same
        return not value
    return np.asarray(value).tobytes() == np.asarray(feature.absent()).tobytes()


def by_tensorflow(record):
    """feature by feature, as TensorFlow's documentation shows it."""
    import tensorflow as tf

    features = {}
    for feature in FEATURES:
        value = getattr(record, feature.field)
        if feature.kind == "float" and feature.shape == ():
            value = np.float32(value)
            if np.isnan(value):
                continue
        elif is_absent(feature, value):
            continue
        if feature.kind == "float":
            features[feature.key] = tf.train.Feature(float_list=tf.train.FloatList(value=np.ravel(value)))
        elif feature.kind == "int":
            features[feature.key] = tf.train.Feature(int64_list=tf.train.Int64List(value=np.ravel(value)))
        else:
            data = value.encode() if feature.kind == "text" else bytes(value)
            features[feature.key] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[data]))
    return tf.train.Example(features=tf.train.Features(feature=features))


@settings(max_examples=60, deadline=None)
@given(RECORDS)
def test_tensorflow_reads_the_same_features(record):
    import tensorflow as tf

    data = example.encode(record)
    assert data == example.encode(record)
    theirs = by_tensorflow(record)
    ours = tf.train.Example.FromString(data)
    assert ours.features.feature.keys() == theirs.features.feature.keys()
    # Serialized, since NaN is not equal to itself.
    assert ours.SerializeToString(deterministic=True) == theirs.SerializeToString(deterministic=True)


@settings(max_examples=60, deadline=None)
@given(RECORDS)
def test_decoded_records_are_equal(record):
    back = example.decode(example.encode(record))
    for feature in FEATURES:
        a, b = getattr(record, feature.field), getattr(back, feature.field)
        assert np.array_equal(a, b, equal_nan=True) if feature.kind in ("float", "int") else np.array_equal(a, b)
        assert np.asarray(a).dtype.kind == np.asarray(b).dtype.kind


def test_parse_example_reads_every_field_and_absent_ones():
    full = noise_record(
        3,
        file="Ärger/bild.jpg",
        person=2,
        right_2d=np.arange(34.0).reshape(17, 2),
        visibility=np.arange(17) % 3,
        root_3d=[1, 2, 3],
        distortion=[0.1, 0.2, 0.3, 0.4, 0.5],
        camera="c",
        image=b"\xff\xd8\0\1",
        image_format="jpeg",
        box=[1, 2, 3, 4],
        head_size=12.5,
        quality=0.25,
        joint_quality=np.linspace(0, 1, 17),
        weights="w",
    )
    records = [full, PoseRecord()]
    parsed = reader.parser([feature.field for feature in FEATURES])([example.encode(record) for record in records])
    for feature in FEATURES:
        values = parsed[feature.field].numpy()
        assert values.shape[1:] == feature.shape
        for value, record in zip(values, records):
            expected = getattr(record, feature.field)
            expected = expected.encode() if feature.kind == "text" else expected
            np.testing.assert_array_equal(value, np.float32(expected) if feature.kind == "float" else expected)


def test_negative_numbers_take_ten_bytes():
    data = example.encode(PoseRecord(frame=-2))
    assert data.endswith(b"\xfe" + b"\xff" * 8 + b"\x01")
    assert example.decode(data).frame == -2
    assert b"source/frame" not in example.encode(PoseRecord(frame=-1))


def test_file_names_that_are_not_utf8_keep_their_bytes():
    name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    data = example.encode(PoseRecord(file=name))
    assert b"caf\xe9.jpg" in data
    assert example.decode(data).file == name


def test_an_array_changed_behind_the_records_back_is_refused():
    record = noise_record(0)
    record.pose_2d = record.pose_2d.astype(np.float64)
    with pytest.raises(InputError, match="pose_2d is float64"):
        example.encode(record)


def test_wrong_joint_count_names_the_key():
    import tensorflow as tf

    feature = tf.train.Feature(float_list=tf.train.FloatList(value=[0.0] * 32))
    data = tf.train.Example(features=tf.train.Features(feature={"pose/2d": feature})).SerializeToString()
    with pytest.raises(InputError, match="at pose/2d: 34 numbers expected, 32 found"):
        example.decode_fields(data)


@given(st.binary(max_size=400))
def test_anything_decodes_or_is_an_input_error(data):
    with contextlib.suppress(InputError):
        assert isinstance(example.decode_fields(data), dict)


def test_every_cut_of_a_record_is_an_input_error():
    data = example.encode(noise_record(1))
    for length in range(len(data)):
        with pytest.raises(InputError, match="not a pose record"):
            example.decode_fields(data[:length])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_changed_bytes_decode_or_are_an_input_error(data):
    whole = bytearray(example.encode(noise_record(1)))
    for _ in range(3):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        fields = example.decode_fields(bytes(whole))
    except InputError:
        return
    for field, value in fields.items():
        assert np.shape(value) == schema.BY_FIELD[field].shape
