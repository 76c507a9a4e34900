"""Inner tensors of a TensorFlow Lite model as outputs, without the operators that they do not need.

The model's file is changed in memory: its list of outputs is written anew behind its end, and its list of operators is
shortened where it stands. What the remaining operators compute stays what it was.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

# Fields of the tables Model and SubGraph in TensorFlow Lite's schema, by their place in the table's list of fields.
_OUTPUTS, _OPERATORS = 8, 10


def with_outputs(model: bytes, outputs: Sequence[int]) -> bytes:
    """A model that computes some tensors and nothing else.

    Args:
      model: a `.tflite` file of one graph. outputs: the tensors' numbers; they become its outputs, in this order.

    Returns:
      the file's content, changed.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    content = bytearray(model)
    graph: Any = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    operators = [graph.Operators(number) for number in range(graph.OperatorsLength())]
    needed, kept = set(map(int, outputs)), []
    for number in reversed(range(len(operators))):
        operator = operators[number]
        if needed.intersection(operator.OutputsAsNumpy().tolist()):
            needed.update(operator.InputsAsNumpy().tolist())
            kept.append(number)
    table = graph._tab
    # A list is its length, then its entries; an entry that is a table is how far behind the entry that table begins.
    start = table.Vector(table.Offset(_OPERATORS))
    places = [operators[number]._tab.Pos for number in reversed(kept)]
    struct.pack_into("<I", content, start - 4, len(places))
    for slot, place in enumerate(places):
        struct.pack_into("<I", content, start + 4 * slot, place - (start + 4 * slot))
    field = table.Pos + table.Offset(_OUTPUTS)
    content += bytes(-len(content) % 4)
    struct.pack_into("<I", content, field, len(content) - field)
    content += struct.pack(f"<I{len(outputs)}i", len(outputs), *outputs)
    return bytes(content)
