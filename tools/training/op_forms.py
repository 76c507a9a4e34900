"""Operations of which processors and GPUs have different fast forms; what they compute is the same.

'cpu': few passes over memory. 'gpu': kernels that TensorFlow and cuDNN have for GPUs. 'xla': what XLA fuses into loops
on GPUs. None of them needs an operation that TensorFlow or XLA refuses on GPUs under deterministic operations (such as
the gradient of a nearest-neighbour resize, or XLA's select-and-scatter of max pooling).
"""

from __future__ import annotations

import os

CPU, GPU, XLA = "cpu", "gpu", "xla"
FORMS = (CPU, GPU, XLA)
AUTO = "auto"
# Forces a form where a command has no flag for it, as of lifting.
VARIABLE = "POSE3D_OP_FORMS"


def has_gpu() -> bool:
    """Whether TensorFlow may use a GPU here; starts no device."""
    import tensorflow as tf

    return bool(tf.config.get_visible_devices("GPU"))


def chosen(form: str = AUTO, jit_compile: bool = False) -> str:
    """One of `FORMS`: the one asked for, by argument or by the environment variable `VARIABLE`, else the device's.

    Args:
      form: one of `FORMS`, or 'auto'.
      jit_compile: whether XLA compiles what the operations are part of.

    Raises:
      ValueError: there is no such form.
    """
    if form == AUTO:
        form = os.environ.get(VARIABLE) or AUTO
    if form == AUTO:
        return CPU if not has_gpu() else XLA if jit_compile else GPU
    if form not in FORMS:
        raise ValueError(f"forms of operations are {', '.join(FORMS)} and {AUTO}, not {form!r}")
    return form


def compiles(jit_compile: bool | None, replicas: int, on_gpu: bool = True) -> bool:
    """Whether a training step is compiled with XLA: as asked for, or with None where one GPU trains, if `on_gpu`.

    Between replicas gradients are summed, which XLA does not compile; on processors the compiled step is slower. On a
    GPU it is 1.6 to 2.4 times as fast for networks of poses; the hourglass compiles for minutes.
    """
    return on_gpu and has_gpu() and replicas == 1 if jit_compile is None else jit_compile
