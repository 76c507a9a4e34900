"""TFRecords of poses as `tf.data` batches or as NumPy arrays.

Three ways in, all by a folder, a manifest, a glob, or a list of those:

* `load_arrays`: the wanted fields of every record as NumPy arrays, in the order they were written.
* `dataset(..., cache=True)`: batches gathered from those arrays; each epoch is one permutation of all records.
* `dataset(...)`: batches streamed from the files, for sets with pictures that do not fit in memory.

The order of a shuffled data set is a function of the seed and the number of the step, not of anything that was consumed
before: ``dataset(..., shuffle_seed=7, start_step=1234)`` goes on exactly where a training stopped after 1,234 steps.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable, Protocol

import numpy as np

from tfrecords import schema
from tfrecords.storage import example, framing
from tfrecords.storage.locate import Records, Where, find
from tools.cli.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf

_PARSED_AT_ONCE = 4096
_READ_BUFFER = 4 << 20
_FILES_AT_ONCE, _RECORDS_OF_EACH = 16, 16
_LARGEST_SHUFFLE_BUFFER = 10_000


class Chosen(Protocol):
    """Some of a data set's records: how many, and whether a serialized one (a text tensor) is one of them."""

    @property
    def count(self) -> int: ...

    def predicate(self, serialized: Any) -> Any: ...


def damage_errors() -> tuple[type[Exception], ...]:
    """What TensorFlow raises for damaged records and pictures."""
    import tensorflow as tf

    # A message that quotes the damaged bytes cannot even be raised as itself: it is a UnicodeDecodeError then.
    return tf.errors.DataLossError, tf.errors.InvalidArgumentError, tf.errors.NotFoundError, UnicodeDecodeError


@contextlib.contextmanager
def named_damage(where: Where) -> Iterator[None]:
    """Inside it, TensorFlow's errors about damaged records become an `InputError` that names shard and record.

    Put it around whatever iterates a `dataset`; it costs nothing until an error comes.
    """
    try:
        yield
    except damage_errors() as error:
        problem = first_damage(where)
        if not problem and isinstance(error, UnicodeDecodeError):
            problem = f"{where}: a damaged record, which TensorFlow cannot parse"
        if problem:
            raise InputError(problem) from error
        raise


def first_damage(where: Where) -> str:
    """Names the first record that cannot be read, or '' when all can."""
    try:
        for file in find(where).files:
            for number, data in enumerate(framing.read_frames(file)):
                try:
                    example.decode_fields(data)
                except InputError as error:
                    return f"{file}: record {number}: {error}"
    except InputError as error:
        return str(error)
    return ""


def _chosen(fields: Sequence[str] | None) -> list[schema.Feature]:
    if fields is None:
        return [feature for feature in schema.FEATURES if feature.field != "image"]
    unknown = [field for field in fields if field not in schema.BY_FIELD]
    if unknown or not fields:
        raise InputError(f"no such field of a record: {', '.join(unknown)}; there are {', '.join(schema.BY_FIELD)}")
    return [schema.BY_FIELD[field] for field in fields]


def parser(fields: Sequence[str] | None = None) -> Callable[[Any], dict[str, Any]]:
    """A function from serialized examples `[B]` to field -> tensor `[B, ...]` of the schema's type and shape.

    Only the named fields are parsed (None: all but the image). Codes come as uint8, texts and images as strings; absent
    values as NaN, -1, zero or the empty string.
    """
    import tensorflow as tf

    features = _chosen(fields)
    description: dict[str, Any] = {}
    codes: dict[str, int] = {}
    for feature in features:
        absent = feature.absent()
        if feature.kind == "float":
            kind, shape = tf.float32, feature.shape
        elif feature.kind == "int":
            kind, shape = tf.int64, feature.shape
        else:
            kind, shape = tf.string, ()
            absent = absent.tobytes() if feature.kind == "codes" else b""
        if feature.kind == "codes":
            codes[feature.key] = feature.size
        description[feature.key] = tf.io.FixedLenFeature(shape, kind, default_value=absent)

    def parse(serialized: Any) -> dict[str, Any]:
        parsed = tf.io.parse_example(serialized, description)
        result = {}
        for feature in features:
            value = parsed[feature.key]
            if feature.key in codes:
                value = tf.ensure_shape(tf.io.decode_raw(value, tf.uint8), [None, codes[feature.key]])
            result[feature.field] = value
        return result

    return parse


def load_arrays(
    where: Where, fields: Sequence[str] | None = None, limit: int = 0, verify: bool = False
) -> dict[str, Any]:
    """The wanted fields of all records as arrays `[N, ...]`, in the order in which they were written.

    Args:
      fields: None for all but the image. limit: only the first so many records; 0 for all. where, verify: as `find`.

    Returns:
      field -> float32, int64 or uint8 array of the schema's shape; texts as an object array of str, images of bytes.

    Raises:
      InputError: as `find`, and naming shard and record when one is damaged.
    """
    records = find(where, verify)
    total = min(len(records), limit or len(records))
    arrays: dict[str, Any] = {}
    for feature in _chosen(fields):
        dtype = {"float": np.float32, "int": np.int64, "codes": np.uint8}.get(feature.kind, object)
        arrays[feature.field] = np.empty((total, *feature.shape), dtype)
    at = 0
    for batch in array_batches(where, fields, limit):
        size = len(next(iter(batch.values())))
        for field, values in batch.items():
            is_text = schema.BY_FIELD[field].kind == "text"
            arrays[field][at : at + size] = _texts(values) if is_text else values
        at += size
    return arrays


def array_batches(where: Where, fields: Sequence[str] | None = None, limit: int = 0) -> Iterator[dict[str, np.ndarray]]:
    """The wanted fields of some thousand records at a time, as `load_arrays`, but texts and images as bytes.

    Raises:
      InputError: as `load_arrays`, when the damaged record is reached.
    """
    import tensorflow as tf

    records = find(where)
    total = min(len(records), limit or len(records))
    with tf.device("CPU:0"):
        serialized = tf.data.TFRecordDataset(list(records.files), records.compression, _READ_BUFFER, 1).take(total)
        batches = serialized.batch(_PARSED_AT_ONCE).map(parser(fields), tf.data.AUTOTUNE, deterministic=True)
        iterator = batches.prefetch(2).as_numpy_iterator()
    at = 0
    while True:
        with named_damage(where):
            batch = next(iterator, None)
        if batch is None:
            break
        at += len(next(iter(batch.values())))
        yield batch
    if at != total:
        raise InputError(f"{records.files[0]}: {at:,} records found in the shards, {total:,} were written")


def _texts(values: np.ndarray) -> list[str]:
    known = {value: value.decode("utf-8", "surrogateescape") for value in set(values)}
    return [known[value] for value in values]


def steps_per_epoch(records: int, batch_size: int, drop_remainder: bool) -> int:
    """How many batches one epoch over so many records has."""
    return records // batch_size if drop_remainder else -(-records // batch_size)


def dataset(
    where: Where,
    batch_size: int,
    fields: Sequence[str] | None = None,
    *,
    shuffle_seed: int | None = None,
    start_step: int = 0,
    epochs: int | None = 1,
    drop_remainder: bool = False,
    cache: bool = False,
    shard: tuple[int, int] = (0, 1),
    shuffle_buffer: int = _LARGEST_SHUFFLE_BUFFER,
    verify: bool = False,
    chosen: Chosen | None = None,
) -> Any:
    """Batches of records: a `tf.data.Dataset` of field -> tensor `[B, ...]`, as `parser` describes.

    Args:
      where: which records, as for `find`.
      verify: as for `find`.
      fields: what to parse; None: all but the image.
      shuffle_seed: None: the order in which the records were written. Otherwise another order in every epoch, the same
        for the same seed, whatever TensorFlow's global seed is.
      start_step: begin with this batch, counted over all epochs, as if the ones before had been taken.
      epochs: how many times all records are gone through, counted from step 0; None: without end.
      drop_remainder: leave out an epoch's last batch when it is not full; batches then have a static size.
      cache: keep the parsed records in memory. Shuffled order is then a permutation of all records; streamed, it is a
        shuffle of the files, an interleaving of 16 of them and a shuffle within a buffer.
      shard: (index, count): only the part of one of `count` workers. Streamed: whole files; cached: every count-th
        record.
      shuffle_buffer: records in the buffer of the streamed shuffle.
      chosen: which records are taken, when streamed and not sharded; None: all.

    Raises:
      InputError: as `find`. While iterating TensorFlow raises its own errors; see `named_damage`.
    """
    index, count = shard
    if not 0 <= index < count:
        raise InputError(f"shard ({index}, {count}): the index must be below the count")
    if cache:
        arrays = load_arrays(where, fields, verify=verify)
        if count > 1:
            arrays = {field: values[index::count] for field, values in arrays.items()}
        return from_arrays(
            arrays,
            batch_size,
            shuffle_seed=shuffle_seed,
            start_step=start_step,
            epochs=epochs,
            drop_remainder=drop_remainder,
        )
    records = find(where, verify)
    records = records.shard(index, count) if count > 1 else records
    parse = parser(fields)
    streamed = _stream(records, batch_size, shuffle_seed, start_step, epochs, drop_remainder, shuffle_buffer, chosen)
    import tensorflow as tf

    def parse_batch(serialized: Any) -> dict[str, Any]:
        batch = parse(serialized)
        return _with_static_size(batch, batch_size) if drop_remainder else batch

    return streamed.map(parse_batch, tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def epoch_dataset(
    where: Where, batch_size: int, epoch: int, fields: Sequence[str] | None = None, **options: Any
) -> Any:
    """The batches of one epoch, from 0, of the `dataset` with the same arguments (all but start_step and epochs)."""
    records = find(where)
    index, count = options.get("shard", (0, 1))
    if count > 1:
        cached = len(range(index, len(records), count))
        size = cached if options.get("cache") else len(records.shard(index, count))
    else:
        size = len(records)
    steps = steps_per_epoch(size, batch_size, options.get("drop_remainder", False))
    return dataset(where, batch_size, fields, start_step=epoch * steps, epochs=epoch + 1, **options)


def _with_static_size(batch: Mapping[str, Any], batch_size: int) -> dict[str, Any]:
    import tensorflow as tf

    return {field: tf.ensure_shape(value, [batch_size, *value.shape[1:]]) for field, value in batch.items()}


def _stream(
    records: Records,
    batch_size: int,
    shuffle_seed: int | None,
    start_step: int,
    epochs: int | None,
    drop_remainder: bool,
    shuffle_buffer: int,
    chosen: Chosen | None = None,
) -> Any:
    """Serialized examples `[B]`, epoch after epoch."""
    import tensorflow as tf

    per_epoch = _checked_steps(len(records) if chosen is None else chosen.count, batch_size, drop_remainder)
    first, skipped = divmod(start_step, per_epoch)

    def one_epoch(epoch: Any) -> Any:
        if shuffle_seed is None:
            serialized = tf.data.TFRecordDataset(list(records.files), records.compression, _READ_BUFFER, 1)
            serialized = serialized if chosen is None else serialized.filter(chosen.predicate)
        else:
            # Sets the seed of this epoch's graph only, so that the order depends on nothing outside.
            tf.random.set_seed(shuffle_seed + 1)
            files = tf.random.experimental.stateless_shuffle(
                tf.constant(records.files), tf.stack([shuffle_seed, epoch])
            )
            serialized = tf.data.Dataset.from_tensor_slices(files).interleave(
                lambda file: tf.data.TFRecordDataset(file, records.compression, _READ_BUFFER),
                cycle_length=min(_FILES_AT_ONCE, len(records.files)),
                block_length=_RECORDS_OF_EACH,
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )
            serialized = serialized if chosen is None else serialized.filter(chosen.predicate)
            buffer = min(shuffle_buffer, len(records))
            serialized = serialized.shuffle(buffer, seed=epoch, reshuffle_each_iteration=False)
        # Before parsing, so that the batches before the first step cost no more than reading them.
        return serialized.batch(batch_size, drop_remainder).skip(
            tf.where(epoch == first, tf.cast(skipped, tf.int64), 0)
        )

    last = tf.int64.max if epochs is None else epochs
    return tf.data.Dataset.range(first, last).flat_map(one_epoch)


def from_arrays(
    arrays: Mapping[str, Any],
    batch_size: int,
    *,
    shuffle_seed: int | None = None,
    start_step: int = 0,
    epochs: int | None = 1,
    drop_remainder: bool = False,
) -> tf.data.Dataset:
    """Batches of arrays `[N, ...]` in memory: a `tf.data.Dataset` of name -> tensor `[B, ...]`.

    Each epoch is a random permutation of all N, a function of seed and epoch that is unlike those of other seeds and
    epochs; a step costs the same wherever it begins. The arguments are those of `dataset`.
    """
    import tensorflow as tf

    sizes = {name: len(values) for name, values in arrays.items()}
    size = next(iter(sizes.values()), 0)
    if len(set(sizes.values())) != 1:
        raise InputError(f"arrays must have the same length, have {sizes}")
    chosen = row_numbers(
        size,
        batch_size,
        shuffle_seed=shuffle_seed,
        start_step=start_step,
        epochs=epochs,
        drop_remainder=drop_remainder,
    )
    with tf.device("CPU:0"):
        tensors = {name: tf.convert_to_tensor(values) for name, values in arrays.items()}

    def take(numbers: Any) -> dict[str, Any]:
        batch = {name: tf.gather(values, numbers) for name, values in tensors.items()}
        return _with_static_size(batch, batch_size) if drop_remainder else batch

    return chosen.map(take, tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def row_numbers(
    size: int,
    batch_size: int,
    *,
    shuffle_seed: int | None = None,
    start_step: int = 0,
    epochs: int | None = 1,
    drop_remainder: bool = False,
) -> tf.data.Dataset:
    """Which of `size` rows stand in each batch of `from_arrays` with the same arguments: int32 tensors `[B]`.

    For rows that are kept elsewhere than in tensors. While an epoch's order is made it takes about 24 bytes a row.
    """
    import tensorflow as tf

    per_epoch = _checked_steps(size, batch_size, drop_remainder)
    first, skipped = divmod(start_step, per_epoch)

    def one_epoch(epoch: Any) -> Any:
        order = tf.range(size)
        if shuffle_seed is not None:
            seed = tf.stack([tf.cast(shuffle_seed, tf.int64), epoch])
            order = tf.random.experimental.stateless_shuffle(order, seed)
        start = tf.where(epoch == first, tf.constant(skipped, tf.int64), 0)
        places = tf.data.Dataset.range(start * batch_size, per_epoch * batch_size, batch_size)
        return places.map(lambda place: order[place : place + batch_size])

    # An epoch's order is made once, when its first batch is asked for.
    return tf.data.Dataset.range(first, tf.int64.max if epochs is None else epochs).flat_map(one_epoch)


def _checked_steps(records: int, batch_size: int, drop_remainder: bool) -> int:
    per_epoch = steps_per_epoch(records, batch_size, drop_remainder)
    if not per_epoch:
        raise InputError(f"{records} records don't fill one batch of {batch_size}")
    return per_epoch
