"""The JSON of TensorFlow Serving's predict: 'instances', a list of examples, or 'inputs', a batch for each name."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tools.cli.errors import InputError

# The most memory that Python's values of one request may take, by the signs of JSON in its text: lists and objects,
# numbers, texts.
_MOST_BYTES = 2 << 30
# Kinds of arrays of JSON's values that an input of a kind takes: true is no number, and "false" is not false.
_KINDS = {"f": "fiu", "i": "iu", "u": "iu", "b": "b", "O": "O"}
_NAMES = {"U": "texts", "b": "true and false", "f": "numbers with fractions", "i": "whole numbers"}
_BYTES_OF = {b"[": 96, b"{": 96, b",": 32, b'"': 32}


def parse(
    body: bytes, kinds: Mapping[str, tuple[np.dtype, tuple[int | None, ...]]]
) -> tuple[dict[str, np.ndarray], bool]:
    """(arrays with a batch dimension by name, whether the examples came one by one).

    Args:
      kinds: name of an input -> its type and shape, None for sizes that are free.

    Raises:
      InputError: no such JSON, another input than the model's, or values of another shape.
    """
    needed = sum(size * body.count(sign) for sign, size in _BYTES_OF.items())
    if needed > _MOST_BYTES:
        raise InputError(f"its values take {needed / 2**30:.1f} GiB of memory, more than 2 GiB; send fewer at a time")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON ({str(error)[:100]})") from None
    if not isinstance(content, dict) or ("instances" in content) == ("inputs" in content):
        raise InputError("expected an object with 'instances' or 'inputs'")
    by_row = "instances" in content
    values = _columns(content["instances"], kinds) if by_row else content["inputs"]
    if not isinstance(values, dict):
        if len(kinds) != 1:
            raise InputError(f"the inputs are to be named: {', '.join(kinds)}")
        values = {next(iter(kinds)): values}
    if set(values) != set(kinds):
        raise InputError(f"inputs {', '.join(values)}; the model has {', '.join(kinds)}")
    arrays = {name: _array(name, values[name], *kind) for name, kind in kinds.items()}
    if len({len(array) for array in arrays.values()}) != 1 or not len(next(iter(arrays.values()))):
        raise InputError("inputs of different lengths, or empty ones")
    return arrays, by_row


def _columns(instances: Any, kinds: Mapping[str, Any]) -> dict[str, list]:
    if not isinstance(instances, list):
        raise InputError("'instances' must be a list")
    only = next(iter(kinds)) if len(kinds) == 1 else ""
    columns: dict[str, list] = {}
    for number, instance in enumerate(instances):
        if not isinstance(instance, dict) or (only and only not in instance):
            instance = {only: instance} if only else instance
        if not isinstance(instance, dict) or set(instance) != set(kinds):
            raise InputError(f"instance {number}: expected {', '.join(kinds)}")
        for name, value in instance.items():
            columns.setdefault(name, []).append(value)
    return columns or {name: [] for name in kinds}


def _array(name: str, values: Any, dtype: np.dtype, shape: tuple[int | None, ...]) -> np.ndarray:
    try:
        array = np.array(_decoded(values), object if dtype.kind == "O" else None)
        kinds = _KINDS.get(dtype.kind, dtype.kind)
        if (
            array.dtype.kind == "O"
            and dtype.kind == "f"
            and all(
                value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))
                for value in array.flat
            )
        ):  # null is NaN; whole numbers beyond those of NumPy
            kinds = "O"
        if array.size and array.dtype.kind not in kinds:
            raise InputError(
                f"{name}: {_NAMES.get(array.dtype.kind, 'values of several kinds')}, the model's is {dtype}"
            )
        array = array.astype(dtype)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(f"{name}: {' '.join(str(error).split())[:100]}") from None
    fits = array.ndim == len(shape) and all(size in (None, real) for size, real in zip(shape, array.shape))
    if not fits:
        raise InputError(f"{name}: shape {list(array.shape)}, the model's is {[-1 if n is None else n for n in shape]}")
    return array


def _decoded(values: Any) -> Any:
    """Bytes are objects {'b64': text}."""
    if isinstance(values, dict) and set(values) == {"b64"}:
        return base64.b64decode(values["b64"])
    return [_decoded(value) for value in values] if isinstance(values, list) and _has_bytes(values) else values


def _has_bytes(values: list) -> bool:
    first: Any = values
    while isinstance(first, list) and first:
        first = first[0]
    return isinstance(first, dict)


def answer(outputs: Mapping[str, np.ndarray], by_row: bool) -> bytes:
    """The response: 'predictions', an object for each example, or 'outputs', a batch for each name.

    With one output its values stand without its name, as TensorFlow Serving writes them.
    """
    lists = {name: _plain(values) for name, values in outputs.items()}
    if not by_row:
        return json.dumps({"outputs": lists if len(lists) > 1 else next(iter(lists.values()))}).encode()
    count = len(next(iter(lists.values())))
    rows: list[Any] = [{name: values[i] for name, values in lists.items()} for i in range(count)]
    if len(lists) == 1:
        rows = [next(iter(row.values())) for row in rows]
    return json.dumps({"predictions": rows}).encode()


def _plain(values: np.ndarray) -> list:
    if values.dtype.kind == "O":
        return [{"b64": base64.b64encode(value).decode()} for value in values.reshape(-1)]
    return values.tolist()  # type: ignore[no-any-return]
