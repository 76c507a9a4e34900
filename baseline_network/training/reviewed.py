"""Which training records a review (tools/review.py) leaves: the others are passed over while records are read."""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf

from tfrecords import reader
from tools.cli.errors import InputError
from tools.files.decisions import Decisions

_IDENTITY = ("file", "sequence", "frame", "person")
_BETWEEN = "\x00"  # of the parts of a key; no file's name has it


@dataclasses.dataclass(frozen=True)
class Reviewed:
    """The records of a set that are trained on.

    Attributes:
      count: how many they are. dropped, swapped: how many are left out because a review dropped them, and because
        their sides are swapped, so that their labels have to be made anew.
    """

    count: int
    dropped: int
    swapped: int
    _left_out: Any

    def predicate(self, serialized: tf.Tensor) -> tf.Tensor:
        """Whether a serialized record is trained on."""
        record = reader.parser(_IDENTITY)(serialized[None])
        texts = [
            record[name] if name in ("file", "sequence") else tf.strings.as_string(record[name]) for name in _IDENTITY
        ]
        return self._left_out.lookup(tf.strings.join(texts, _BETWEEN))[0] == 0


def reviewed(where: reader.Where, decisions: Decisions) -> Reviewed:
    """What decisions leave of a set of records, all of whose names are read once.

    Raises:
      InputError: nothing is left; or decisions are about records that share file, sequence, frame and person, which
        only their number in their source tells apart.
    """
    if decisions.by_row:
        raise InputError(
            f"{decisions.path}: {decisions.by_row} decisions are about records that share file, sequence, frame and "
            "person; generate.py --keep or make_tfrecords.py --keep obeys them"
        )
    arrays = reader.load_arrays(where, _IDENTITY)
    keys, dropped, swapped = set(), 0, 0
    for identity in zip(*(arrays[name] for name in _IDENTITY)):
        fate = decisions.fate(*identity)
        if fate.reason or fate.swap:
            dropped, swapped = dropped + bool(fate.reason), swapped + (not fate.reason)
            keys.add(_BETWEEN.join(map(str, identity)).encode("utf-8", "surrogateescape"))
    count = len(arrays["file"]) - dropped - swapped
    if not count:
        raise InputError(f"{decisions.path}: leaves none of the {len(arrays['file']):,} records of {where}")
    with tf.device("CPU:0"):
        # A table needs an entry; no record has the empty key.
        entries = tf.constant([b"", *sorted(keys)])
        table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(entries, tf.ones(len(keys) + 1, tf.int64)), default_value=0
        )
    return Reviewed(count, dropped, swapped, table)
