"""Flags that several commands have, declared and read in one way."""

from __future__ import annotations

import os
from typing import Callable, TypeVar

from tools.cli.command import Flags
from tools.cli.errors import InputError

Number = TypeVar("Number", int, float)


def hide_gpus() -> None:
    """``--use_cpu``: TensorFlow, imported after this, sees no GPU."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"


def numbers(flags: Flags, name: str, kind: Callable[[str], Number], size: int) -> tuple[Number, ...] | None:
    """The `size` numbers of a flag of texts separated by commas, None when it was not given.

    Raises:
      InputError: naming the flag, when there are others than `size` numbers.
    """
    words = getattr(flags, name)
    if not words:
        return None
    try:
        values = tuple(kind(word) for word in words)
    except ValueError:
        raise InputError(f"--{name}={','.join(words)}: not {size} numbers") from None
    if len(values) != size:
        raise InputError(f"--{name}={','.join(words)}: {size} numbers expected, {len(values)} given")
    return values
