"""The 3D label generator: the published stages in order, and the chain from 2D poses to 3D labels.

Files here are commands; their code is in the subpackages, which may import tfrecords and tools, never baseline_network.
The Python interface is `detect`, `lift`, `Lifter`, `Labels` and `People`, imported lazily.
"""

import importlib
from typing import Any

__all__ = ["Labels", "Lifter", "People", "detect", "lift"]
__version__ = "0.2.0"  # the one place; setup.py reads it here

# name -> module and name in it
_NAMES = {
    "detect": ("label_generator.labelling.pictures", "detect"),
    "lift": ("label_generator.lifting.api", "lift"),
    "Labels": ("label_generator.lifting.api", "Labels"),
    "Lifter": ("label_generator.lifting.api", "PoseLifter"),
    "People": ("label_generator.lifting.api", "People"),
}


def __getattr__(name: str) -> Any:
    """Imports the public names lazily, since TensorFlow takes seconds to load."""
    if name in _NAMES:
        module, member = _NAMES[name]
        return getattr(importlib.import_module(module), member)
    raise AttributeError(f"module 'label_generator' has no attribute '{name}'")


def __dir__() -> list[str]:
    """What the module has, also what was not imported yet."""
    return sorted({*globals(), *_NAMES})
