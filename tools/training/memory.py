"""Whether a step of training has memory enough: one line instead of an end by the kernel, which nobody can catch."""

from __future__ import annotations

import contextlib
import pathlib
import re
from collections.abc import Iterator
from typing import Any, Callable

import numpy as np
import tensorflow as tf

from tools.cli.errors import InputError

_GROUPS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))
_CGROUP = pathlib.Path("/sys/fs/cgroup")  # of this process, in a container


def available_bytes() -> float:
    """The memory that can still be had: of the machine, or of the container where that is less; infinite if unknown."""
    free = [float("inf")]
    with contextlib.suppress(OSError, AttributeError, ValueError):
        found = re.search(r"MemAvailable:\s+(\d+) kB", pathlib.Path("/proc/meminfo").read_text())
        free.append(1024.0 * int(found[1]))  # type: ignore[index]
    for limit, used in _GROUPS:
        with contextlib.suppress(OSError, ValueError):  # no such group, or its limit is 'max'
            free.append(float(int((_CGROUP / limit).read_text()) - int((_CGROUP / used).read_text())))
    return max(min(free), 0.0)


def output_bytes(model: tf.keras.Model) -> float:
    """What a row takes at least in a step that trains `model`: the outputs of all layers, kept for the gradients."""
    total = 0.0
    for layer in model.layers:
        if isinstance(layer, tf.keras.Model):
            total += output_bytes(layer)
            continue
        shapes = layer.output_shape if isinstance(layer.output_shape, list) else [layer.output_shape]
        size = tf.as_dtype(layer.compute_dtype).size
        total += sum(size * float(np.prod([side or 1 for side in shape[1:]])) for shape in shapes)
    return total


def check_step(batch_size: int, row_bytes: float) -> None:
    """Raises `InputError` when a step on processors needs more memory than there is.

    Args:
      row_bytes: what one row of a batch takes at least.
    """
    available = available_bytes()
    if batch_size * row_bytes > available and not tf.config.list_logical_devices("GPU"):
        most = int(available / row_bytes)
        raise InputError(
            f"--batch_size={batch_size}: a step needs {_gib(batch_size * row_bytes)} of memory at least, there are "
            f"{_gib(available)}; expected {max(most, 1):,} at most, and less beside other programs"
        )


@contextlib.contextmanager
def exhausted(batch_size: int, advice: Callable[[], Any] = str) -> Iterator[None]:
    """Around steps: memory that a device does not have becomes an `InputError`. advice: what is safe and how to go on.

    Full disks have the same exception, and are told apart before (`tools.files.tensorflow_errors.writing`).
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        if "OOM" not in str(error) and "memory" not in str(error):
            raise
        found = re.search(r"on (\S+) by allocator|device:(\S+)", str(error))
        device = f" of {found[1] or found[2]}" if found else ""
        more = advice()
        raise InputError(
            f"--batch_size={batch_size}: the memory{device} is not enough for a step; give a smaller one"
            f"{f'; {more}' if more else ''}"
        ) from error


def _gib(number: float) -> str:
    return f"{number / 2**30:,.1f} GiB"
