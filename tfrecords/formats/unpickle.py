"""Object arrays (``.npy`` with pickled content) without the risk of unpickling.

Own unpickler instead of `pickle` or ``numpy.load(allow_pickle=True)``, which run any code that the file names. A pickle
is a program for a stack machine; `load_objects` runs that machine but hands it only what arrays of texts and numbers
need: NumPy's array, dtype and scalar makers, in versions that check what they are given, and plain containers. Every
other name in the file is refused before it is imported.

NumPy's own makers are not safe enough: a dtype restored from a crafted state can claim to be 'object' without its
reference flags, and bytes of the file then become pointers. So types are rebuilt here from a short list.
"""

from __future__ import annotations

import collections
import os
import pickle
import pickletools
import re
import shutil
import tempfile
from typing import IO, Any, Callable

import numpy as np

from tools.cli.errors import InputError, first_line
from tools.files import archives, inputs, limits

# What arrays of numbers and texts are made of: bool, signed, unsigned, float, complex, bytes, text, object.
_TYPE = re.compile(r"[<>|=]?(b1|i[1248]|u[1248]|f[248]|c8|c16|[SU]\d{1,6}|O8?)")
# How many elements one array may have: a crafted file must not ask for all the memory there is.
_LIMIT = 2**31


class _Refused(Exception):
    """The file asks for something that arrays of texts and numbers don't need."""


class _Maker:
    """A callable that a pickle may use and not alter: it has no attributes to set."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *arguments: Any) -> Any:
        return self._make(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise _Refused("changes what makes its arrays")


class _DType:
    """Stands for a dtype while the pickle is read; `real` is the dtype, rebuilt from its letter and byte order."""

    __slots__ = ("real",)

    def __init__(self, letters: Any):
        letters = letters.decode("latin1") if isinstance(letters, bytes) else letters
        if not isinstance(letters, str) or not _TYPE.fullmatch(letters):
            raise _Refused(f"array of type {str(letters)[:40]!r}")
        self.real = np.dtype(letters)

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 3:
            raise _Refused("dtype with an unknown state")
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "|", "="):
            raise _Refused("dtype with an unknown byte order")
        if any(part is not None for part in state[2:5]):
            raise _Refused("structured array")
        if order in "<>":
            self.real = self.real.newbyteorder(order)  # type: ignore[arg-type]


class _Array(np.ndarray):
    """An array under construction; its content comes with the state, which is checked before NumPy sees it."""

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise _Refused("array with an unknown state")
        if self.size:
            # Filling anew frees the memory that rows taken meanwhile still point to.
            raise _Refused("array that is filled twice")
        _, shape, dtype, fortran, content = state
        array = _fill(shape, dtype, bool(fortran), content)
        super().__setstate__(array.__reduce__()[2])  # type: ignore[arg-type]


def _fill(shape: Any, dtype: Any, fortran: bool, content: Any) -> np.ndarray:
    """The array of that shape and type with that content: a list for objects, bytes for anything else."""
    if not isinstance(dtype, _DType):
        raise _Refused("array without a dtype")
    shape = (shape,) if isinstance(shape, int) else shape
    if not isinstance(shape, tuple) or not all(type(side) is int and 0 <= side < _LIMIT for side in shape):
        raise _Refused("array with an impossible shape")
    if len(shape) > 32:
        raise _Refused("array with too many dimensions")
    size = 1
    for side in shape:
        size *= side
    if size >= _LIMIT:
        raise _Refused("array with an impossible shape")
    if inputs.is_of_nothing(shape, dtype.real.itemsize):
        raise _Refused("array of nothing")
    if dtype.real.hasobject:
        if not isinstance(content, list) or len(content) != size:
            raise _Refused("array whose content does not fit its shape")
        array = np.empty(size, object)
        for i, item in enumerate(content):
            array[i] = item
        # The list is in C order, whichever order the array had in memory; bytes are in the array's own.
        return array.reshape(shape)
    else:
        content = content.encode("latin1") if isinstance(content, str) else content
        if not isinstance(content, (bytes, bytearray)) or len(content) != size * dtype.real.itemsize:
            raise _Refused("array whose content does not fit its shape")
        if not dtype.real.itemsize and size > 1:  # empty texts: their number is limited by nothing in the file
            raise _Refused("array of nothing")
        array = np.frombuffer(bytes(content), dtype.real) if dtype.real.itemsize else np.zeros(size, dtype.real)
        if not inputs.holds_texts(array):
            raise _Refused("texts that are not Unicode")
        return array.reshape(shape, order="F" if fortran else "C").copy(order="K")


def _make_empty(kind: Any, shape: Any, letters: Any) -> _Array:
    """`numpy.core.multiarray._reconstruct`: an array without content, which BUILD fills."""
    if kind is not _NDARRAY:
        raise _Refused("array of another class")
    return np.ndarray.__new__(_Array, (0,), np.uint8)


def _make_from_buffer(content: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    """`numpy.core.numeric._frombuffer`: protocol 5."""
    if isinstance(dtype, _DType) and dtype.real.hasobject:
        raise _Refused("array of objects from bytes")
    return _fill(shape, dtype, order == "F", content)


def _make_scalar(dtype: Any, content: Any = None) -> Any:
    """`numpy.core.multiarray.scalar`."""
    if isinstance(dtype, _DType) and dtype.real.hasobject:
        raise _Refused("scalar that is an object")
    return _fill((), dtype, False, b"" if content is None else content)[()]


def _make_bytes(text: Any = "", encoding: Any = "latin1") -> bytes:
    """`_codecs.encode` and `bytes`: how protocol 2 writes bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise _Refused("bytes in an unusual encoding")
    return text.encode("latin1")


def _make_bytearray(content: Any = b"", encoding: Any = "latin1") -> bytearray:
    """`bytearray`, from bytes or from a text as protocol 2 writes it."""
    return bytearray(content if isinstance(content, bytes) else _make_bytes(content, encoding))


_NDARRAY: _Maker = _Maker(lambda *_: _make_empty(_NDARRAY, (0,), b"b"))
_ALLOWED = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Maker(lambda letters, *_: _DType(letters)),
    ("_codecs", "encode"): _Maker(_make_bytes),
    ("builtins", "bytes"): _Maker(_make_bytes),
    ("builtins", "bytearray"): _Maker(_make_bytearray),
    ("builtins", "complex"): complex,
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "list"): list,
    ("builtins", "dict"): dict,
    ("builtins", "tuple"): tuple,
    ("collections", "OrderedDict"): collections.OrderedDict,
}
for _core in ("numpy.core", "numpy._core"):  # before and since NumPy 2
    _ALLOWED[_core + ".multiarray", "_reconstruct"] = _Maker(_make_empty)
    _ALLOWED[_core + ".multiarray", "scalar"] = _Maker(_make_scalar)
    _ALLOWED[_core + ".numeric", "_frombuffer"] = _Maker(_make_from_buffer)


class _Unpickler(pickle.Unpickler):
    """The machine, with the short list instead of imports."""

    def find_class(self, module: str, name: str) -> Any:
        module = "builtins" if module == "__builtin__" else module  # as Python 2 and protocols below 3 call it
        if (module, name) not in _ALLOWED:
            raise _Refused(f"{module}.{name}")
        return _ALLOWED[module, name]

    def persistent_load(self, identity: Any) -> Any:
        raise _Refused("reference to something outside the file")


def load_objects(path: str | os.PathLike) -> Any:
    """What a ``.npy`` file holds, also when it is an array of objects, or a plain pickle of arrays and containers.

    Written by NumPy 1 or 2, under Python 2 or 3, pickle protocols 0 to 5. Python 2's byte strings come back as texts
    in which each byte is one character (latin1).

    Returns:
      An array, or for a plain pickle whatever arrays, texts, numbers and containers it holds.

    Raises:
      InputError: no such file, not such a file, cut or damaged, or it asks for anything else than arrays of texts and
        numbers and plain containers. Nothing of the file is run.
    """
    largest = limits.current().pickle_bytes
    try:
        with inputs.open_file(path) as file:
            if os.fstat(file.fileno()).st_size > largest:
                raise inputs.too_large(path, largest)
            return _load(file)
    except InputError:
        raise
    except _Refused as refused:
        raise InputError(f"{path}: refused, an array of texts and numbers does not need this: {refused}") from None
    except Exception as error:  # a damaged pickle can fail in any of the ways of the machine's instructions
        what = f"{type(error).__name__}: {first_line(error)}"
        raise InputError(f"{path}: not an array file, or a damaged one ({what})") from None


def load_member(path: str | os.PathLike, name: str, expected: str) -> Any:
    """`load_objects` of one array of an .npz archive; an array of no dimensions is the object in it.

    Raises:
      InputError: as `load_objects`; no archive, damaged, without that array, or one beyond the limits.
    """
    largest = limits.current().pickle_bytes
    with tempfile.TemporaryDirectory() as folder, archives.open_zip(path) as archive:
        if f"{name}.npy" not in archive.namelist():
            raise InputError(f"{path}: no array {name}; expected {expected}")
        member = archive.getinfo(f"{name}.npy")
        archives.check_member(member, f"{path}: {name}")
        if member.file_size > largest:
            raise inputs.too_large(f"{path}: {name}", largest)
        # The reader of objects takes files, so that its messages can name them: here they name the archive.
        file = os.path.join(folder, "member.npy")
        with archive.open(member) as source, open(file, "wb") as target:
            shutil.copyfileobj(source, target)
        try:
            content = load_objects(file)
        except InputError as error:
            raise InputError(str(error).replace(file, f"{path}: {name}")) from None
    return content.item() if isinstance(content, np.ndarray) and content.shape == () else content


_MARK = object()


def _action(opcode: Any) -> tuple[str, int, int]:
    """What an instruction does to the stack: (action, how many values it takes, how many it leaves)."""
    name, before = opcode.name, opcode.stack_before
    if name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
        return "put", 0, 0
    if name in ("GET", "BINGET", "LONG_BINGET"):
        return "get", 0, 1
    if name in ("MARK", "DUP"):
        return name.lower(), 0, 1
    if name in ("APPEND", "SETITEM", "BUILD"):  # into the object that stays on the stack
        return "add", len(before) - 1, 0
    if name in ("APPENDS", "SETITEMS", "ADDITEMS"):
        return "add marked", 0, 0
    if pickletools.markobject in before:
        return "marked", before.index(pickletools.markobject), len(opcode.stack_after)
    return "values", len(before), len(opcode.stack_after)


_ACTIONS = {opcode.code: _action(opcode) for opcode in pickletools.opcodes}


def _check_program(file: IO[bytes]) -> None:
    """Raises `_Refused` when the pickle at the file's place would take far more memory or time than it is long.

    The program's instructions are followed without making anything but the number of values in each object when all
    shared parts are written out: nested tuples that share their parts double it with a few bytes each, and hashing or
    copying them takes as long. A memo index far beyond the number of objects makes the machine fill memory.
    """
    start, most = file.tell(), limits.current().pickle_values
    stack: list[Any] = []
    memo: dict[Any, list[int]] = {}

    def since_mark() -> list[Any]:
        taken = []
        while stack and stack[-1] is not _MARK:
            taken.append(stack.pop())
        if not stack:
            raise ValueError("no mark")
        stack.pop()
        return taken

    for opcode, argument, _ in pickletools.genops(file):
        action, count, pushed = _ACTIONS[opcode.code]
        if action == "put":
            index = len(memo) if argument is None else int(argument)
            if index > len(memo) + 100:
                raise _Refused("memo beyond the number of objects")
            memo[index] = stack[-1]
        elif action == "get":
            stack.append(memo[int(argument or 0)])
        elif action == "mark":
            stack.append(_MARK)
        elif action == "dup":
            stack.append(stack[-1])
        elif pushed and not count and action == "values":
            stack.append([1])
        else:
            parts = since_mark() if action in ("marked", "add marked") else []
            for _ in range(count):
                parts.append(stack.pop())
            added = sum([part[0] for part in parts if part is not _MARK])
            if action in ("add", "add marked"):
                stack[-1][0] += added
                added = stack[-1][0]
            elif pushed:
                stack.append([1 + added])
            if added > most:
                raise _Refused(f"more than {most:,} values when its shared parts are written out")
    file.seek(start)


def _load(file: IO[bytes]) -> Any:
    start = file.read(6)
    file.seek(0)
    if start != np.lib.format.MAGIC_PREFIX:
        _check_program(file)
        return _plain(_Unpickler(file, encoding="latin1").load())
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    # Version 3 is version 2 with a header in UTF-8, which only field names need.
    shape, _, dtype = readers.get(version, np.lib.format.read_array_header_2_0)(file)
    if inputs.is_of_nothing(shape, dtype.itemsize):
        raise _Refused("array of nothing")
    if not dtype.hasobject:
        file.seek(0)
        array = np.lib.format.read_array(file, allow_pickle=False)
        if not inputs.holds_texts(array):
            raise _Refused("texts that are not Unicode")
        return array
    _check_program(file)
    loaded = _plain(_Unpickler(file, encoding="latin1").load())
    if not isinstance(loaded, np.ndarray) or loaded.shape != tuple(shape):
        raise ValueError(f"header says an array of shape {shape}, content is another")
    return loaded


def _plain(loaded: Any) -> Any:
    """What was loaded; raises when a stand-in of the reader would get out with it."""
    visited, waiting = set(), [loaded]
    while waiting:
        value = waiting.pop()
        if isinstance(value, (_Maker, _DType, type)):
            raise _Refused("a class instead of a value")
        if id(value) in visited:
            continue
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, (list, tuple, set, frozenset)):
            waiting += value
        elif isinstance(value, np.ndarray) and value.dtype.hasobject:
            waiting += value.reshape(-1).tolist()
        else:
            continue
        visited.add(id(value))
    return loaded.view(np.ndarray) if isinstance(loaded, _Array) else loaded
