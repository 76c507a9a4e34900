"""Training of the body head (`tools.detection.body_head`) on kept crops: network, loss, report, TensorFlow Lite file.

Each joint's 32 x 32 logits are one softmax, trained by cross entropy towards a Gaussian around the annotated place, so
that probability near a place is a confidence without another output.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import shutil
import time
from typing import Any

import numpy as np

from baseline_network.training import body_head_crops, body_head_start
from baseline_network.training.body_head_crops import Crops
from baseline_network.training.body_head_people import AnnotatedPeople, Neighbours, Scale
from tools.cli import outputs, plans, quiet, signals
from tools.cli.errors import InputError
from tools.cli.progress import Progress
from tools.detection import body_head, mediapipe_models
from tools.files import atomic, locks
from tools.pose import joints

_BODY = joints.joint_set(body_head.JOINT_SET)
_NECK, _CROWN = _BODY.index("Neck"), _BODY.index("HeadTop")
_SPREAD = 0.9  # cells, of the Gaussian
_CHANNELS = (48, 96, 160)  # at 32 x 32, 16 x 16, 8 x 8
_BLOCKS = (2, 2, 3)
_WARM_UP = 150  # steps
_LARGEST_GRADIENT = 2.0
_DROPPED = 0.1  # of the channels of the middle and the coarse maps
_SAVE_EVERY_S = 60.0
_CROPS, _TRAINING, _STATE = "crops", "training", "state.npz"


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long and how fast: passes over the crops, crops a step, largest learning rate, share of people held out, and
    the head whose weights come first, see `body_head.weights_file`; '': random ones."""

    epochs: float = 6.0
    batch_size: int = 64
    learning_rate: float = 2e-3
    held_out: float = 0.05
    seed: int = 0
    start_from: str = ""


def build() -> Any:
    """The network: three inputs (`Crops.fine`, `middle`, `coarse` as floats) -> logits [B, 32, 32, 14]."""
    from tensorflow import keras

    layers = keras.layers

    def normed(x: Any, activation: bool) -> Any:
        x = layers.BatchNormalization(momentum=0.98, epsilon=1e-3)(x)
        return layers.ReLU()(x) if activation else x

    def point(x: Any, channels: int, activation: bool = True) -> Any:
        return normed(layers.Conv2D(channels, 1, use_bias=False)(x), activation)

    def block(x: Any) -> Any:
        channels = x.shape[-1]
        y = normed(layers.DepthwiseConv2D(5, padding="same", use_bias=False)(x), False)
        return layers.Add()([x, point(point(y, 2 * channels), channels, False)])

    def larger(x: Any, channels: int) -> Any:
        return layers.UpSampling2D(2, interpolation="bilinear")(point(x, channels, False))

    shapes = ((32, 32, 80 + len(body_head.MAPS)), (16, 16, 88), (8, 8, 144))
    inputs = [layers.Input(shape) for shape in shapes]
    x = None
    for values, channels, blocks in reversed(list(zip(inputs, _CHANNELS, _BLOCKS))):
        if x is None:
            x = point(values, channels)
        else:
            x = layers.ReLU()(layers.Add()([larger(x, channels), point(values, channels, False)]))
        for _ in range(blocks):
            x = block(x)
    return keras.Model(inputs, layers.Conv2D(_BODY.size, 1)(x))


def loss(logits: Any, places: Any) -> Any:
    """Mean cross entropy of logits [B, 32, 32, J] with places [B, J, 2] in 0..1, NaN where unknown; joints outside of
    the crop do not count."""
    import tensorflow as tf

    cells = logits.shape[1]
    counts = tf.cast(tf.reduce_all((places > 0) & (places < 1), -1), tf.float32)
    places = tf.where(tf.math.is_nan(places), 0.5, places)
    middles = (tf.range(cells, dtype=tf.float32) + 0.5) / cells
    x, y = (tf.nn.softmax(-(((middles - places[..., axis : axis + 1]) * cells / _SPREAD) ** 2) / 2) for axis in (0, 1))
    wanted = tf.reshape(y[..., :, None] * x[..., None, :], [-1, logits.shape[-1], cells * cells])
    flat = tf.reshape(tf.transpose(logits, [0, 3, 1, 2]), [-1, logits.shape[-1], cells * cells])
    entropy = -tf.reduce_sum(wanted * tf.nn.log_softmax(flat), -1)
    return tf.reduce_sum(entropy * counts) / (tf.reduce_sum(counts) + 1e-6)


def pckh(network: Any, crops: Crops, rows: np.ndarray) -> float:
    """PCKh@0.5 of the network on crops, of the people whose head is annotated."""
    right: list[np.ndarray] = []
    for start in range(0, len(rows), 100):
        chosen = rows[start : start + 100]
        tensors = body_head_crops.as_inputs(crops.fine[chosen], crops.middle[chosen], crops.coarse[chosen])
        for logits, places in zip(network(tensors, training=False).numpy(), crops.places[chosen]):
            head = np.linalg.norm(places[_CROWN] - places[_NECK])
            if head > 0:
                near = (
                    np.linalg.norm(body_head.decode(logits, np.zeros((_BODY.size, 2)))[0] - places, axis=-1) < head / 2
                )
                right.append(near[np.isfinite(places).all(-1)])
    return float(100 * np.concatenate(right).mean()) if right else float("nan")


def check_sizes(plan: Plan, people: int, crops: int) -> None:
    """Raises `InputError` where so many crops of so many people may be less than a step, or a pass, needs."""
    held = _held_count(plan, people)
    # People have one crop or two in each pass over them.
    least = crops * (people - held) // (people + held) - 2
    if people <= held or round(plan.epochs * (max(least, 0) // plan.batch_size)) < 1:
        raise InputError(
            f"{people:,} people, {held:,} of them held out (--held_out={plan.held_out:g}), and --crops={crops} are too "
            f"few for --epochs={plan.epochs:g} of --batch_size={plan.batch_size}: give more crops, at least two people "
            "of whom one is not held out, or smaller batches"
        )


def _held_count(plan: Plan, people: int) -> int:
    return max(1, round(plan.held_out * people))


def train(
    crops: Crops, plan: Plan, report: Any = print, folder: pathlib.Path | None = None, settings: str = ""
) -> tuple[Any, dict[str, float]]:
    """The trained network, and its figures: steps, loss and PCKh@0.5 of the people held out.

    Args:
      report: called with a line after each pass over the crops.
      folder: where the training is saved every minute and when it is asked to end, and from where it goes on, to the
        same weights as without a break; None: nowhere.
      settings: kept with it, see `kept_settings`.

    Raises:
      InputError: fewer crops than a step needs, or a damaged folder.
      signals.Ended: the process was asked to end; the step is finished, and saved.
    """
    import tensorflow as tf
    from tensorflow import keras

    keras.utils.set_random_seed(plan.seed)
    people = np.unique(crops.person)
    held = np.isin(crops.person, people[len(people) - _held_count(plan, len(people)) :])
    rows, checked = np.flatnonzero(~held), np.flatnonzero(held)[:1500]
    steps = round(plan.epochs * (len(rows) // plan.batch_size))
    if not steps:
        raise InputError(f"{len(rows):,} crops are too few for {plan.epochs:g} epochs of batches of {plan.batch_size}")
    network = build()
    if plan.start_from:
        body_head_start.set_weights(network, body_head_start.file_of(plan.start_from), crops, rows)
        if not (folder and folder.exists()):
            report(f"{plan.start_from}: PCKh@0.5 of people held out {_figures(network, crops, checked)}")
    optimizer = keras.optimizers.AdamW(plan.learning_rate, weight_decay=0.01, epsilon=1e-6)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer.build(network.trainable_variables)

    def dropped(values: Any, seed: Any) -> Any:
        # Stateless, so that a training that goes on draws what one without a break draws.
        stays = tf.random.stateless_uniform([tf.shape(values)[0], 1, 1, values.shape[-1]], seed) >= _DROPPED
        return tf.where(stays, values / (1 - _DROPPED), 0.0)

    @tf.function(reduce_retracing=True)
    def step(fine: Any, middle: Any, coarse: Any, places: Any, number: Any) -> Any:
        inputs = body_head_crops.as_inputs(fine, middle, coarse)
        inputs[1:] = [dropped(values, tf.stack([plan.seed + i, number])) for i, values in enumerate(inputs[1:])]
        with tf.GradientTape() as tape:
            value = loss(network(inputs, training=True), places)
        gradients = tape.gradient(value, network.trainable_variables)
        gradients, _ = tf.clip_by_global_norm(gradients, _LARGEST_GRADIENT)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables))
        return value

    rng, order, losses, last, start = np.random.default_rng(plan.seed), np.zeros(0, np.int64), [], float("nan"), 0
    checkpoint = tf.train.Checkpoint(network=network, optimizer=optimizer)
    if folder is not None and folder.exists():
        try:
            with np.load(folder / _STATE) as state:
                start, order, losses, last = (
                    int(state["step"]),
                    state["order"],
                    state["losses"].tolist(),
                    float(state["last"]),
                )
                rng.bit_generator.state = json.loads(str(state["rng"]))
            checkpoint.read(str(folder / "checkpoint")).assert_existing_objects_matched()
        except (OSError, ValueError, KeyError, AssertionError, tf.errors.OpError) as error:
            raise InputError(f"{folder}: damaged; --overwrite trains anew") from error
        report(f"goes on after step {start:,} of {steps:,}")

    def save(step: int) -> None:
        if folder is None:
            return
        with atomic.write_folder(folder) as new:
            checkpoint.write(str(new / "checkpoint"))
            state = json.dumps(rng.bit_generator.state)
            np.savez(new / _STATE, step=step, order=order, losses=losses, last=last, rng=state, settings=settings)

    began = saved = time.monotonic()
    with signals.deferred() as asked, Progress(steps, "steps", start, every=body_head_crops.LINE_EVERY_S) as progress:
        for number in range(start, steps):
            if len(order) < plan.batch_size:
                order = rng.permutation(rows)
            chosen, order = np.sort(order[: plan.batch_size]), order[plan.batch_size :]
            rate = min(1.0, (number + 1) / _WARM_UP) * (0.5 + 0.5 * np.cos(np.pi * number / steps))
            optimizer.learning_rate.assign(plan.learning_rate * rate)
            batch = (crops.fine[chosen], crops.middle[chosen], crops.coarse[chosen], crops.places[chosen], number)
            losses.append(float(step(*map(tf.constant, batch))))
            progress.update(number + 1)
            of_pass = len(order) < plan.batch_size or number + 1 == steps
            if of_pass and not asked.number:
                report(
                    f"step {number + 1:,} of {steps:,}, {time.monotonic() - began:.0f} s: loss {np.mean(losses):.3f}, "
                    f"PCKh@0.5 of people held out {_figures(network, crops, checked)}"
                )
            if of_pass:
                last, losses = float(np.mean(losses)), []
            if of_pass or asked.number or time.monotonic() - saved > _SAVE_EVERY_S:
                save(number + 1)
                saved = time.monotonic()
            if asked.number:
                note = f"{number + 1:,} of {steps:,} steps are saved; the same command goes on from there"
                raise signals.Ended(asked.number, note)
    figures = {"steps": steps, "loss": last, "held_out_pckh": pckh(network, crops, checked)}
    if crops.crowded.any():
        for name, chosen in _by_neighbours(crops, checked).items():
            figures[f"held_out_pckh_{name}"] = pckh(network, crops, chosen)
    return network, figures


def _by_neighbours(crops: Crops, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Rows of crops of people alone, and of people with neighbours."""
    return {"alone": rows[~crops.crowded[rows]], "neighbours": rows[crops.crowded[rows]]}


def _figures(network: Any, crops: Crops, rows: np.ndarray) -> str:
    """PCKh@0.5 as text; with neighbours in some crops, of people alone and of people with neighbours."""
    if not crops.crowded.any():
        return f"{pckh(network, crops, rows):.1f}"
    parts = _by_neighbours(crops, rows).items()
    return ", ".join(f"{pckh(network, crops, chosen):.1f} {name}" for name, chosen in parts)


def kept_settings(folder: pathlib.Path) -> str:
    """Settings of the training that a folder holds, '' where there is none; raises `InputError` where it is damaged."""
    if not folder.exists():
        return ""
    try:
        with np.load(folder / _STATE) as state:
            return str(state["settings"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder}: damaged; --overwrite trains anew") from error


def write(network: Any, crops: Crops, path: pathlib.Path) -> str:
    """Writes the network as a TensorFlow Lite file (float16 weights) with the landmark network's tensors as inputs;
    returns the file's SHA-256, which `tools.detection.body_head` asks for in the file beside it."""
    import tensorflow as tf
    from tensorflow import keras

    shapes = ((64, 64, 39), (32, 32, 48), (32, 32, 32), (16, 16, 88), (8, 8, 144))
    inputs = [keras.layers.Input(shape, batch_size=1) for shape in shapes]
    maps, *others = inputs
    # As `as_bytes` and `as_inputs` have it: five standard deviations at most; heights of chosen maps, halved in size.
    scaled = [
        tf.clip_by_value((values - mean) * (1 / deviation), -5.0, 5.0)
        for values, (mean, deviation) in zip(others, crops.scale)
    ]
    pick = np.zeros((1, 1, shapes[0][-1], len(body_head.MAPS)), np.float32)
    pick[0, 0, body_head.MAPS, np.arange(len(body_head.MAPS))] = 1
    heights = tf.sigmoid(tf.nn.max_pool2d(tf.nn.conv2d(maps, pick, 1, "SAME"), 2, 2, "SAME")) * 2 - 0.2
    logits = network([tf.concat([scaled[0], scaled[1], heights], -1), scaled[2], scaled[3]], training=False)
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(inputs, logits))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    with quiet.only_on_failure():
        content = converter.convert()
    checksum = hashlib.sha256(content).hexdigest()
    # The checksum comes last: a head without one is not finished.
    path.with_suffix(".sha256").unlink(missing_ok=True)
    with atomic.write_file(path) as temporary:
        pathlib.Path(temporary).write_bytes(content)
    with atomic.write_file(path.with_suffix(".sha256")) as temporary:
        pathlib.Path(temporary).write_text(f"{checksum}  {path.name}\n")
    return checksum


@dataclasses.dataclass(frozen=True)
class _Job:
    """What a command is to do: its people, plan and folder, what crops and training depend on, and what is there."""

    people: AnnotatedPeople
    plan: Plan
    folder: pathlib.Path
    made_of: dict[str, Any]
    settings: str
    kept_crops: int
    kept_training: bool
    neighbours: Neighbours
    scale: Scale | None


def _checked(flags: Any) -> _Job:
    """The job of the flags of `train_body_head.py`; reads and writes nothing else. Raises `InputError`."""
    if not 0.0 < flags.held_out < 1.0:
        raise InputError(f"--held_out={flags.held_out:g}: expected a share above 0 and below 1")
    folder = pathlib.Path(flags.output)
    outputs.check_folder(folder)
    finished, crops, training = folder / "body_head.sha256", folder / _CROPS, folder / _TRAINING
    other = folder.exists() and any(not entry.name.startswith(".") for entry in folder.iterdir())
    if finished.exists() or (other and not crops.exists()):
        outputs.check_free(flags.output, flags.overwrite)
    people = AnnotatedPeople(pathlib.Path(flags.input), flags.images)
    plan = Plan(flags.epochs, flags.batch_size, flags.learning_rate, flags.held_out, flags.seed, flags.start_from)
    check_sizes(plan, len(people.rows), flags.crops)
    for name in ("detector", "landmarks"):
        mediapipe_models.model_file(name)
    scale = None
    if flags.start_from:
        start = body_head_start.file_of(flags.start_from)
        scale = body_head_start.scale_of(start)
        body_head_start.check(build(), start)
    neighbours = Neighbours(flags.neighbours, _held_count(plan, len(people.rows)))
    made_of = people.made_of(flags.crops, flags.seed, neighbours, scale)
    settings = json.dumps({**dataclasses.asdict(plan), "crops": made_of})
    try:
        kept_crops = body_head_crops.kept(crops, made_of)
        kept = kept_settings(training)
        if kept not in ("", settings):
            raise InputError(f"{training}: a training with other flags; --overwrite replaces it")
    except InputError:
        if not flags.overwrite:
            raise
        kept_crops, kept = 0, ""
    return _Job(people, plan, folder, made_of, settings, kept_crops, bool(kept), neighbours, scale)


def preview(flags: Any) -> int:
    """What `run` would do, checked as there; see `plans.show`."""
    job = _checked(flags)
    reads = [f"{flags.input}: {len(job.people.rows):,} people with joints enough"]
    if job.kept_crops:
        reads.append(f"{job.folder / _CROPS}: {job.kept_crops:,} of {flags.crops:,} crops of an earlier run")
    if job.kept_training:
        reads.append(f"{job.folder / _TRAINING}: a training to go on with")
    held = _held_count(job.plan, len(job.people.rows))
    selects = [f"{flags.crops:,} crops; {held:,} people, the last rows, are held out"]
    return plans.show(flags, reads, selects, [job.folder / "body_head.tflite", job.folder / "body_head.sha256"])


def run(flags: Any) -> dict[str, Any]:
    """Makes crops, trains and writes as the flags of `train_body_head.py` say; returns the figures.

    Raises:
      InputError: of `AnnotatedPeople`, `body_head_crops.make` and `train`, or in --output are a finished head, or crops
        or a training of other flags.
      signals.Ended: the process was asked to end; the same command goes on.
    """
    from tools.training import strategy

    job = _checked(flags)
    there = job.folder.exists()
    lock = locks.FolderLock(job.folder, "another training")
    try:
        training = job.folder / _TRAINING
        crops = body_head_crops.make(
            job.people, job.folder / _CROPS, flags.crops, flags.seed, flags.overwrite, job.neighbours, job.scale
        )
        if not job.kept_training and training.exists():
            shutil.rmtree(training)
        strategy.prepare_devices(deterministic=True, seed=flags.seed)
        network, figures = train(crops, job.plan, lambda line: print(line, flush=True), training, job.settings)
        figures_and_sum = {**figures, "sha256": write(network, crops, job.folder / "body_head.tflite")}
        shutil.rmtree(training)
    finally:
        lock.release()
        if not there and not any(job.folder.iterdir()):
            job.folder.rmdir()
    return figures_and_sum
