"""One GPU, part by part, against its own limits and PyTorch; on a machine without one the same on the processor.

Parts: limits, lift, search, steps, inference, training, training_xla, first_step, input, torch. The rows go to a file
as they are measured (--output), so that a run that is cut off leaves what it had. docs/performance.md has the commands
of a quarter of an hour. PyTorch may be installed for another Python than TensorFlow (--torch_python).

What takes minutes before it can be measured (graphs of the hourglass' training, torch.compile) does that side by side;
then all is measured one after the other, in turns.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tools.benchmarks.common import BenchmarkSettings, Rate, Row
from tools.benchmarks.recorder import Candidate, Recorder

PARTS = (
    *("limits", "training", "torch", "inference", "lift", "steps", "search"),
    *("first_step", "input", "training_xla"),
)
BATCHES = (32, 64, 6)
POSES = (1, 1024, 16_384, 65_536)
_ONE_POSE_MS = 2.0
_ONE_POSE_CALLS = 1000
_COMPILING_S = 240.0
_TRAININGS = 4  # graphs of trainings that are made ready at once
# (batch, dtype, grouped), those most wanted first.
_TRAINING_FORMS = (
    *((32, "mixed_float16", True), (32, "mixed_float16", False), (32, "float32", True)),
    *((6, "mixed_float16", True), (6, "mixed_float16", False), (64, "mixed_float16", True)),
    *((6, "float32", True), (64, "float32", True)),
)
_FLOAT16_GOAL, _TRAINING_GOAL, _COMPILED_GOAL, _INFERENCE_GOAL, _LINEAR_GOAL, _FIRST_STEP_S = (
    1.5,
    1.0,
    0.9,
    1.2,
    1.3,
    60.0,
)
# Variables of the kit for another Python, which PyTorch's must not see.
_FOREIGN = ("PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "LD_PRELOAD")


def wait() -> None:
    """Returns when TensorFlow's devices have done what they were given."""
    import tensorflow as tf

    tf.test.experimental.sync_devices()


class _Measurement:
    """What the parts share: settings, recorder, PyTorch's rates."""

    def __init__(self, settings: BenchmarkSettings):
        import tensorflow as tf

        self.settings = settings
        self.on_gpu = bool(tf.config.get_visible_devices("GPU"))
        self.full = settings.scale >= 0.25
        self.recorder = Recorder(settings.output, settings.profile, settings.seconds)
        self.torch: dict[str, Rate] = {}
        self.trainings: dict[str, Rate] = {}

    def measure(
        self, name: str, make: Callable[[], Callable[[], Any]], amount: float, unit: str, **options: Any
    ) -> Any:
        calls = options.pop("calls", 20 if self.on_gpu else 2)
        repeats = self.settings.repeats
        return self.recorder.measure(
            name, make, amount, unit, repeats=repeats, calls=calls if self.full else 1, wait=wait, **options
        )

    def best_torch(self, prefix: str, compiled: bool = False) -> tuple[str, Rate | None]:
        """PyTorch's quickest form of what begins with `prefix`, by torch.compile or without."""
        found = {n: r for n, r in self.torch.items() if n.startswith(f"{prefix},") and ("compile" in n) == compiled}
        if not found:
            return "", None
        name = max(found, key=lambda key: found[key].median)
        return f"PyTorch, {name.removeprefix(prefix).strip(', ')}", found[name]


def measure(settings: BenchmarkSettings) -> list[Row]:
    """The rows of the parts in `settings.parts`, all by default."""
    import tensorflow as tf

    for gpu in tf.config.get_visible_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    if settings.deterministic:
        tf.keras.utils.set_random_seed(0)
        tf.config.experimental.enable_op_determinism()
    parts = settings.parts or PARTS
    measurement = _Measurement(settings)
    for part in PARTS:
        if part in parts:
            with measurement.recorder.attempt(part):
                globals()[f"_{part}"](measurement)
    for name, reason in measurement.recorder.missing.items():
        print(f"not measured: {name}: {reason}", file=sys.stderr)
    return measurement.recorder.rows


def _limits(m: _Measurement) -> None:
    """Products of square matrices, and a copy; what the card can do at most by the same TensorFlow."""
    import tensorflow as tf

    side = 8192 if m.on_gpu and m.full else 256
    for dtype, shown in (("float32", "TF32 on GPUs"), ("bfloat16", "bfloat16"), ("float16", "float16")):

        def product(dtype: str = dtype) -> Callable[[], Any]:
            x = tf.cast(tf.random.normal([side, side]) / side**0.5, dtype)
            return lambda: tf.matmul(x, x)

        m.measure(f"limit: products of [{side}, {side}], {dtype} ({shown})", product, 2e-12 * side**3, "TFLOP/s")
    count = (256 if m.full else 1) << 20

    def copy() -> Callable[[], Any]:
        x = tf.Variable(tf.zeros([count]))

        @tf.function(autograph=False)
        def run() -> None:
            x.assign(1.0 - x, read_value=False)

        return run

    m.measure("limit: memory, read and written", copy, 8e-9 * count, "GB/s")
    rows = np.zeros([count // 4], np.float32)

    def upload() -> Callable[[], Any]:
        return lambda: tf.identity(tf.constant(rows))

    m.measure("limit: from the host's memory", upload, 1e-9 * rows.nbytes, "GB/s", calls=3)


def _start_torch(m: _Measurement, *more: str) -> subprocess.Popen:
    """PyTorch's part in its own Python; more: its further arguments."""
    python = m.settings.torch_python or sys.executable
    environment = dict(os.environ)
    if m.settings.torch_python:
        environment = {name: value for name, value in environment.items() if name not in _FOREIGN}
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH", "")]))
    line = [python, "-m", "tools.benchmarks.torch_gpu", str(m.settings.repeats), "1" if m.full else "0", *more]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def _torch(m: _Measurement) -> None:
    """The same networks in PyTorch, measured by its own Python; the trainings that were measured beside them."""
    process = _start_torch(m)
    printed, said = process.communicate()
    for text in printed.splitlines():
        if text.startswith("{"):
            found = json.loads(text)
            rate = Rate(tuple(found["each"]))
            m.torch[found["name"]] = rate
            m.recorder.add(rate.row(f"PyTorch {found['version']}: {found['name']}", found["unit"]))
    for name, rate in m.trainings.items():
        prefix = ",".join(name.split(",")[:2])
        for compiled, goal in ((False, _TRAINING_GOAL), (True, _COMPILED_GOAL)):
            against, than = m.best_torch(prefix, compiled)
            if than:
                m.recorder.add(rate.row(f"{name}, beside PyTorch", "images/s", against, than, goal))
    if process.returncode:
        raise RuntimeError(f"PyTorch's part ended with {process.returncode}: {said.strip()[-300:]}")


def _forms(m: _Measurement) -> Iterable[tuple[str, bool]]:
    return itertools.product(("mixed_float16", "float32"), (False, True)) if m.full else [("float32", False)]


def _sizes(m: _Measurement) -> Any:
    from baseline_network.network import hourglass

    return hourglass.Sizes() if m.full else hourglass.Sizes(1, 1, 8, 64)


def _trained(m: _Measurement, size: int, dtype: str, grouped: bool, jit: bool = False) -> Candidate:
    """A training step of the hourglass, batch in the device's memory."""
    import tensorflow as tf

    from baseline_network.network import hourglass
    from baseline_network.training import losses, trainer
    from tools.benchmarks.hourglass import targets
    from tools.training import op_forms

    sizes, form = _sizes(m), op_forms.chosen(jit_compile=jit)

    def make() -> Callable[[], Any]:
        batch = targets(np.random.default_rng(0), sizes, size)
        tensors = {name: tf.constant(value) for name, value in batch.items()}
        network = hourglass.build(sizes, dtype=dtype, form=form)
        model = trainer.Trainer(network, losses.Weights(), size, grouped=grouped)
        model.compile(optimizer=trainer.make_optimizer("rmsprop", 2.5e-4, dtype))
        step = tf.function(model.train_step, autograph=False, jit_compile=jit)
        return lambda: step(tensors)

    how = "XLA" if jit else "variables as vectors" if grouped else "variables one by one"
    return Candidate(f"hourglass training, batch {size}, {dtype}, form {form}, {how}", make, size, "images/s")


def _training(m: _Measurement) -> None:
    """The hourglass' training step in all its forms, while torch.compile makes ready what is measured after it."""
    from tools.training import precision

    precision.keep_channels_last()
    forms = _TRAINING_FORMS if m.full else [(2, "float32", True), (2, "float32", False)]
    compiling = _start_torch(m, "compile") if "torch" in (m.settings.parts or PARTS) else None

    def wait_for_torch() -> None:
        if compiling is None:
            return
        try:
            # No longer than half of the time: what it has not compiled is compiled when it is measured.
            compiling.communicate(timeout=min(m.recorder.left_seconds / 2, _COMPILING_S))
        except subprocess.TimeoutExpired:
            compiling.kill()
            compiling.communicate()

    m.trainings = m.recorder.measure_in_turns(
        [_trained(m, *form) for form in forms],
        repeats=m.settings.repeats,
        calls=(20 if m.on_gpu else 2) if m.full else 1,
        wait=wait,
        at_once=_TRAININGS,
        between=wait_for_torch,
    )


def _first_step(m: _Measurement) -> None:
    """One training alone, from its making to the end of its first step: what a user waits for after Python's start."""
    from tools.training import precision

    precision.keep_channels_last()
    candidate = _trained(m, *(_TRAINING_FORMS[0] if m.full else (2, "float32", True)))
    m.measure(candidate.name, candidate.make, candidate.amount, candidate.unit)
    for row in [row for row in m.recorder.rows if row.name == f"{candidate.name}: made and first call"]:
        allowed = f"{_FIRST_STEP_S:g} s allowed"
        m.recorder.add(Row("time to the first step", row.value, "s", 0.0, allowed, _FIRST_STEP_S / row.value, 1.0))


def _training_xla(m: _Measurement) -> None:
    """The training step as one program of XLA, which takes minutes to compile."""
    candidate = _trained(m, *((32, "mixed_float16", False) if m.full else (2, "float32", False)), jit=True)
    m.measure(candidate.name, candidate.make, candidate.amount, candidate.unit)


def _inference(m: _Measurement) -> None:
    """The hourglass' answers, batch norms folded, as predictions run it."""
    import tensorflow as tf

    from baseline_network.network import folded_hourglass, hourglass

    sizes = _sizes(m)
    for dtype, jit in _forms(m):
        tf.keras.backend.clear_session()
        folded = folded_hourglass.FoldedHourglass(hourglass.build(sizes, dtype=dtype), jit_compile=jit)
        for size in BATCHES if m.full else (2,):
            images = tf.random.uniform([size, sizes.resolution, sizes.resolution, 3])

            def make(images: Any = images, folded: Any = folded) -> Callable[[], Any]:
                return lambda: folded(images)

            name = f"hourglass inference, batch {size}"
            against, than = m.best_torch(name)
            name += f", {dtype}{', XLA' if jit else ''}"
            m.measure(name, make, size, "images/s", against=against, than=than, goal=_INFERENCE_GOAL if than else None)


def _lift(m: _Measurement) -> None:
    """The shipped networks and the search."""
    import tensorflow as tf

    from label_generator.lifting import lifter as lifter_module
    from tools.benchmarks import lift, search
    from tools.pose.cameras import SEARCH_INTRINSICS

    networks = (lift.shipped() if m.full else {}) or lift.published_networks(1024 if m.full else 64)
    sizes = POSES if m.full else (1,)
    _, pixels, _ = search.people(max(sizes))
    camera = tf.constant(np.array(SEARCH_INTRINSICS, np.float32))
    plain: dict[int, Rate | None] = {}
    for dtype in ("float32", "float16", "bfloat16") if m.full else ("float32",):
        lifter = lifter_module.Lifter(networks, compute_dtype=tf.as_dtype(dtype))
        for size in sizes:
            poses = tf.constant(pixels[:size])

            def make(poses: Any = poses, lifter: Any = lifter) -> Callable[[], Any]:
                return lambda: lifter.lift(poses, camera)

            goal = _FLOAT16_GOAL if (dtype, size) == ("float16", 16_384) else None
            than = plain.get(size)
            rate = m.measure(
                f"lift, {dtype}, {size:,} poses", make, size, "poses/s", against="float32" if than else "", than=than,
                goal=goal,
            )  # fmt: skip
            if dtype == "float32":
                plain[size] = rate
            if size == 1:
                with m.recorder.attempt(f"one pose, {dtype}"):
                    _one_pose(m, dtype, lifter, pixels, np.array(SEARCH_INTRINSICS, np.float32))


def _one_pose(m: _Measurement, dtype: str, lifter: Any, pixels: np.ndarray, camera: np.ndarray) -> None:
    count = m.settings.count(_ONE_POSE_CALLS, 5)
    seconds = []
    lifter.lift(pixels[:1], camera).pose_3d.numpy()
    for number in range(count):
        start = time.perf_counter()
        lifter.lift(pixels[number % 64 : number % 64 + 1], camera).pose_3d.numpy()
        seconds.append(1e3 * (time.perf_counter() - start))
    middle = statistics.median(seconds)
    allowed = f"{_ONE_POSE_MS:g} ms allowed"
    m.recorder.add(Row(f"one pose, {dtype}: median", middle, "ms", 0.0, allowed, _ONE_POSE_MS / middle, 1.0))
    for name, value in (("95th percentile", float(np.percentile(seconds, 95))), ("worst", max(seconds))):
        m.recorder.add(Row(f"one pose, {dtype}: {name} of {count:,}", value, "ms"))


def _steps(m: _Measurement) -> None:
    """The label generator's training steps as train.py runs them, reading included."""
    from tools.benchmarks import train

    count = 65_536 if m.full else 2048
    steps = 100 if m.full else 10
    trainings = {
        "linear training, batch 64": (64, lambda: train.published(64, count)),
        "linear training, batch 1024": (1024, lambda: train.published(1024, count)),
        "canonical training, batch 512": (512, lambda: train.canonical(512, count)),
    }
    for (name, (size, training)), jit in itertools.product(trainings.items(), (False, True) if m.full else (False,)):
        against, than = m.best_torch(name)
        goal = _LINEAR_GOAL if than and size == 1024 else None

        def make(training: Callable[[], Any] = training, jit: bool = jit) -> Callable[[], Any]:
            return train.fitting(training(), steps, jit_compile=jit)

        title = f"{name}{', XLA' if jit else ''}"
        m.measure(title, make, size * steps, "samples/s", calls=1, against=against, than=than, goal=goal)


def _search(m: _Measurement) -> None:
    """The convex search alone."""
    import tensorflow as tf

    from label_generator.lifting.geometric_search import geometric_search
    from tools.benchmarks import search
    from tools.pose.cameras import SEARCH_INTRINSICS

    count = 65_536 if m.full else 256
    poses, pixels, _ = (tf.constant(values) for values in search.people(count))
    camera = tf.constant(np.array(SEARCH_INTRINSICS, np.float32))
    for subgrid in (False, True):

        def make(subgrid: bool = subgrid) -> Callable[[], Any]:
            return lambda: geometric_search(poses, pixels, camera, subgrid=subgrid)

        m.measure(f"search, {count:,} poses{', subgrid' if subgrid else ''}", make, count, "poses/s")


def _input(m: _Measurement) -> None:
    """The pictures that feed the hourglass, decoded and cropped on the host, beside the quickest training step."""
    import dataclasses

    from tools.benchmarks import pipeline

    steps = [row for row in m.recorder.rows if row.name.startswith("hourglass training") and row.unit == "images/s"]
    rate = pipeline.rate(dataclasses.replace(m.settings, scale=1.0 if m.full else 0.02), 32 if m.full else 4)
    than = Rate((max(row.value for row in steps),)) if steps else None
    against = "the quickest training step" if steps else ""
    m.recorder.add(rate.row("pictures decoded, cropped, augmented on the host", "images/s", against, than))
