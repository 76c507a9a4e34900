"""The 3D label generator: the published stages in order, and the chain from 2D poses to 3D labels.

Files here are commands; their code is in the subpackages, which may import tfrecords and tools, never baseline_network.
The Python interface is `lift`, `Lifter` and `Labels`, imported lazily.
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
