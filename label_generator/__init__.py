"""The 3D label generator: the published stages in their order, and the chain from 2D poses to 3D labels.

A file here is a command; rooms may import tfrecords and tools, never baseline_network. What a program of yours needs is
`lift`, `Lifter` and `Labels`, which are imported when they are first used.
"""

from typing import Any

__all__ = ["Labels", "Lifter", "lift"]
__version__ = "0.2.0"  # the one place; setup.py reads it here

_NAMES = {"lift": "lift", "Labels": "Labels", "Lifter": "PoseLifter"}


def __getattr__(name: str) -> Any:
    """Imports the public names lazily, since TensorFlow takes seconds to load."""
    if name in _NAMES:
        from label_generator.lifting import api

        return getattr(api, _NAMES[name])
    raise AttributeError(f"module 'label_generator' has no attribute '{name}'")
