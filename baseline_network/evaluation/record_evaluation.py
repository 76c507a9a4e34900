"""Evaluates a network on records with pictures; records that cannot be used are counted and named."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from baseline_network.evaluation import detected_boxes, pose_errors
from baseline_network.images import crop
from baseline_network.network import targets
from baseline_network.prediction.predictor import Predictor
from tfrecords import reader, schema
from tfrecords.formats import images
from tfrecords.storage.locate import Records
from tools.cli.errors import InputError
from tools.cli.progress import Progress
from tools.pose import joints

FIELDS = (
    *("image", "image_size", "box", "pose_2d", "provenance_2d", "visibility", "pose_3d", "provenance_3d"),
    *("root_3d", "intrinsics", "head_size", "dataset", "action", "file"),
)
# Why a record is left out; the first is what records without pictures are, the others each name the record.
NO_PICTURE, NO_TRUTH = "no picture", "no joint to compare with"
BROKEN, BOX_OUTSIDE = "picture cannot be decoded", "box outside the picture"
_NAMED = 20


@dataclasses.dataclass
class RecordErrors:
    """A network's errors on n people.

    Attributes:
      errors: of `pose_errors.errors`, [n, 16] float32 each.
      confidence: [n, 16]. visibility: [n, 16] codes of `tfrecords.schema`.
      boxes: [n, 4] px, around which the crops lay.
      datasets, actions: [n] texts. numbers: [n] which record of all, from 0.
      skipped: reason -> how many records. named: a line for each of the first that were skipped.
      unfound: how many people a detector did not find; their joints count as missed.
    """

    errors: dict[str, np.ndarray]
    confidence: np.ndarray
    visibility: np.ndarray
    boxes: np.ndarray
    datasets: np.ndarray
    actions: np.ndarray
    numbers: np.ndarray
    skipped: dict[str, int]
    named: list[str]
    unfound: int = 0

    def __len__(self) -> int:
        return len(self.numbers)

    def rows(self, chosen: np.ndarray) -> dict[str, np.ndarray]:
        """The errors of some of the people, for `pose_errors.summary`."""
        return {name: values[chosen] for name, values in self.errors.items()}

    def person_errors(self) -> tuple[np.ndarray, str]:
        """One number for each person by which they are ranked, [n], and what it is in words."""
        for name, text in (
            ("mpjpe_published", "{:.0f} mm"),
            ("distance_heads", "{:.2f} heads off"),
            ("distance_px", "{:.1f} px off"),
        ):
            values = pose_errors.by_person(self.errors[name])
            if np.isfinite(values).any():
                return values, text
        return np.zeros(len(self)), ""


def evaluate_records(
    predictor: Predictor,
    where: reader.Where,
    batch_size: int = 32,
    *,
    limit: int = 0,
    min_provenance: int = joints.MADE,
    published_thorax: bool = False,
    quiet: bool = False,
    people: detected_boxes.People | None = None,
) -> RecordErrors:
    """Measures the network on all records, batch by batch, in the order in which they were written.

    The crop lies around the record's box; a record without one has the box of its joints, as in training.

    Args:
      where: as `reader.find`. limit: only the first so many records; 0 for all.
      min_provenance, published_thorax: see `pose_errors`.
      people: a detector whose boxes take the place of the records' own (`detected_boxes.boxes_of`).

    Raises:
      InputError: as `reader.find`, a shard is damaged (names shard and record), or not one record can be used.
    """
    records = reader.find(where)
    total = min(len(records), limit or len(records))
    run = _Run(predictor, records, min_provenance, published_thorax, people)
    batches = reader.dataset(where, batch_size, FIELDS)
    with reader.named_damage(where), Progress(total, "pictures", quiet=quiet) as progress:
        for batch in batches.take(-(-total // batch_size)):
            run.add({name: values.numpy()[: total - run.done] for name, values in batch.items()})
            progress.update(run.done)
    return run.result()


class _Run:
    """What has been measured so far."""

    def __init__(
        self,
        predictor: Predictor,
        records: Records,
        min_provenance: int,
        published_thorax: bool,
        people: detected_boxes.People | None = None,
    ) -> None:
        self.done = self._unfound = 0
        self._people = people
        self._predictor, self._records = predictor, records
        self._min_provenance, self._published_thorax = min_provenance, published_thorax
        self._parts: list[dict[str, np.ndarray]] = []
        self._skipped: collections.Counter = collections.Counter()
        self._named: list[str] = []

    def add(self, batch: dict[str, np.ndarray]) -> None:
        numbers = self.done + np.arange(len(batch["image"]))
        self.done += len(numbers)
        boxes, reasons = boxes_of(batch)
        is_detected = np.ones(len(boxes), bool)
        if self._people is not None:
            boxes, is_detected = detected_boxes.boxes_of(batch["image"].tolist(), boxes, self._people)
        usable = [not reason for reason in reasons]
        predicted, broken = predict_records(self._predictor, batch["image"].tolist(), boxes, usable)
        reasons = [reason or failure for reason, failure in zip(reasons, broken)]
        truth = pose_errors.truth_of(batch, self._min_provenance)
        nothing = ~(truth["joint_mask_2d"].any(1) | truth["joint_mask_3d"].any(1))
        reasons = [reason or (NO_TRUTH if lacks else "") for reason, lacks in zip(reasons, nothing)]
        for number, reason, file in zip(numbers, reasons, batch["file"]):
            if reason:
                self._skip(int(number), reason, file.decode("utf-8", "replace"))
        kept = np.array([not reason for reason in reasons])
        if not kept.any():
            return
        sides = boxes[:, 2:].max(1)
        truth = {**truth, "box_sides": sides, "crop_sides": np.maximum(sides, 1.0) * self._predictor.margin}
        errors = pose_errors.errors(
            {name: values[kept] for name, values in predicted.items()},
            {name: values[kept] for name, values in truth.items()},
            self._published_thorax,
        )
        errors = detected_boxes.count_as_missed(errors, is_detected[kept])
        self._unfound += int((~is_detected[kept]).sum())
        part = {name: values.astype(np.float32) for name, values in errors.items()}
        part["confidence"] = predicted["confidence"][kept]
        part["visibility"] = visibility_of(batch["visibility"])[kept]
        part["boxes"] = boxes[kept]
        part["datasets"], part["actions"] = batch["dataset"][kept], batch["action"][kept]
        part["numbers"] = numbers[kept]
        self._parts.append(part)

    def _skip(self, number: int, reason: str, file: str) -> None:
        self._skipped[reason] += 1
        if len(self._named) < _NAMED:
            self._named.append(f"{place_of(self._records, number)}{f' ({file})' if file else ''}: {reason}")

    def result(self) -> RecordErrors:
        if not self._parts:
            counts = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self._skipped.items()))
            raise InputError(f"{self._records.files[0]}: none of {self.done:,} records can be measured: {counts}")
        joined = {name: np.concatenate([part[name] for part in self._parts]) for name in self._parts[0]}
        texts = {
            name: np.array([value.decode("utf-8", "replace") for value in joined.pop(name)], object)
            for name in ("datasets", "actions")
        }
        rest = {name: joined.pop(name) for name in ("confidence", "visibility", "boxes", "numbers")}
        skipped = dict(sorted(self._skipped.items()))
        return RecordErrors(errors=joined, **rest, **texts, skipped=skipped, named=self._named, unfound=self._unfound)


def place_of(records: Records, number: int) -> str:
    """Shard and number in it, from 0, of the record of that number in all shards."""
    for file, count in zip(records.files, records.counts):
        if number < count:
            return f"{file}: record {number}"
        number -= count
    raise IndexError(number)


def boxes_of(batch: Mapping[str, np.ndarray]) -> tuple[np.ndarray, list[str]]:
    """The box around which each record's crop lies, [B, 4] px, and why there can be none, or ''."""
    sizes = np.array(
        [
            size if (size > 0).all() or not encoded else _decoded_size(encoded)
            for size, encoded in zip(batch["image_size"], batch["image"])
        ]
    )
    boxes = crop.person_boxes(batch["box"], batch["pose_2d"], sizes).numpy()
    reasons = []
    for box, (width, height), encoded in zip(boxes, sizes, batch["image"]):
        if not encoded:
            reasons.append(NO_PICTURE)
        elif width <= 0:
            reasons.append(BROKEN)
        elif box[0] >= width or box[1] >= height or box[0] + box[2] <= 0 or box[1] + box[3] <= 0:
            reasons.append(BOX_OUTSIDE)
        else:
            reasons.append("")
    return boxes, reasons


def _decoded_size(encoded: bytes) -> np.ndarray:
    """Width and height of a picture whose record does not state them; -1 where it cannot be decoded."""
    picture = images.pixels(encoded)
    return np.array([-1, -1] if picture is None else picture.shape[1::-1])


def predict_records(
    predictor: Predictor, encoded: Sequence[bytes], boxes: np.ndarray, usable: Sequence[bool]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """The network's predictions for a batch, and for each picture `BROKEN` or ''.

    Pictures that are broken or not usable have NaN. A batch is predicted again picture by picture when one of it is
    broken, so that sound pictures cost nothing.
    """
    chosen = np.flatnonzero(usable)
    reasons = [""] * len(encoded)
    parts: list[tuple[np.ndarray, dict[str, np.ndarray]]] = []
    try:
        if len(chosen):
            parts.append((chosen, _run(predictor, encoded, boxes, chosen)))
    except tf.errors.InvalidArgumentError:
        for one in chosen:
            alone = np.array([one])
            try:
                parts.append((alone, _run(predictor, encoded, boxes, alone)))
            except tf.errors.InvalidArgumentError:
                reasons[one] = BROKEN
    shapes = {"points": (16, 2), "confidence": (16,), "pose_3d": (16, 3)}
    result = {name: np.full([len(encoded), *shape], np.nan, np.float32) for name, shape in shapes.items()}
    for places, predicted in parts:
        for name, values in result.items():
            values[places] = predicted[name]
    return result, reasons


def _run(
    predictor: Predictor, encoded: Sequence[bytes], boxes: np.ndarray, chosen: np.ndarray
) -> dict[str, np.ndarray]:
    people = predictor.from_files(tf.constant([encoded[i] for i in chosen], tf.string), tf.constant(boxes[chosen]))
    return {name: values.numpy() for name, values in people.items()}


def visibility_of(codes: np.ndarray) -> np.ndarray:
    """The visibility of MPII's 16 joints from that of the 17: the lowest of the joints that one is computed from."""
    sources = targets.MPII16_FROM_POSE17 != 0  # [16, 17]
    return np.where(sources, np.asarray(codes)[:, None, :], schema.VISIBLE).min(-1).astype(np.uint8)


def read_some(where: reader.Where, numbers: Iterable[int]) -> dict[int, dict[str, np.ndarray]]:
    """Some records by their number, each a batch of one with `FIELDS`."""
    records = reader.find(where)
    remaining, result, first = set(map(int, numbers)), {}, 0
    parse = reader.parser(FIELDS)
    for file, count in zip(records.files, records.counts):
        here = sorted(number - first for number in remaining if first <= number < first + count)
        if here:
            table = tf.constant(here, tf.int64)
            picked = (
                tf.data.TFRecordDataset(file, records.compression)
                .enumerate()
                .take(here[-1] + 1)
                .filter(lambda at, _, table=table: tf.reduce_any(table == at))
            )
            for at, serialized in picked.as_numpy_iterator():
                result[first + int(at)] = {name: value.numpy() for name, value in parse([serialized]).items()}
        first += count
    return result
