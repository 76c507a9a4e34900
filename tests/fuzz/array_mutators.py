"""Changes to files of arrays and objects: npy, zip and npz, pickle, mat, HDF5; see `mutators`."""

from __future__ import annotations

import contextlib
import io
import math
import os
import pickletools
import random
import re
import struct
import zipfile
import zlib
from typing import Any

import numpy as np

from tests.fuzz import mutators
from tests.fuzz.mutators import Mutator
from tools.files import limits

_TYPES = (
    "<f4",
    ">f4",
    "<f8",
    "<f2",
    "<i8",
    "<i4",
    "|u1",
    "|b1",
    "<c16",
    "|O",
    "<U7",
    "|S3",
    "<M8[D]",
    "<m8[s]",
    "|V8",
    "<f16",
    "<U1000000",
    "",
    "f",
    "x",
    "('<f4',)",
    "<U0",
    "[('a','<f4')]",
)


def npy(descr: Any, fortran: Any, shape: Any, content: bytes, version: int = 1) -> bytes:
    """An .npy file of such a header, sound or not."""
    head = f"{{'descr': {descr!r}, 'fortran_order': {fortran!r}, 'shape': {shape!r}, }}"
    return _npy_of_text(head, content, version)


def _npy_of_text(head: str, content: bytes, version: int = 1) -> bytes:
    size = 2 if version == 1 else 4
    encoded = head.encode("utf-8", "replace")
    encoded += b" " * (-(len(encoded) + 7 + size) % 64) + b"\n"
    encoded = encoded[:65535] if version == 1 else encoded
    return b"\x93NUMPY" + bytes((version, 0)) + len(encoded).to_bytes(size, "little") + encoded + content


def numbers(content: bytes, rng: random.Random) -> bytes:
    """Bytes of float32 or float64 in which some numbers are extreme."""
    kind = np.float32 if rng.random() < 0.5 else np.float64
    values = np.frombuffer(content[: len(content) // 8 * 8], kind).copy()
    if not len(values):
        return content
    with np.errstate(all="ignore"):
        many = rng.choice((1, 3, len(values) // 2 + 1, len(values)))
        at = [rng.randrange(len(values)) for _ in range(min(many, 2000))]
        values[at] = kind(rng.choice((*mutators.FLOATS, rng.uniform(-1e4, 1e4))))
    return values.tobytes() + content[len(content) // 8 * 8 :]


def mutate_npy(data: bytes, rng: random.Random) -> bytes:
    """Type, order, shape or numbers of an .npy file; the content of arrays of objects is a pickle."""
    kind = rng.random()
    try:
        file = io.BytesIO(data)
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        descr: Any = np.lib.format.dtype_to_descr(dtype)
    except Exception:
        return mutators.mutate_bytes(data, rng)
    content = file.read()
    if dtype.hasobject and kind < 0.7:
        return npy(descr, fortran, shape, mutate_pickle(content, rng))
    if kind < 0.3:
        return npy(descr, fortran, shape, numbers(content, rng))
    if kind < 0.4:
        return mutators.mutate_bytes(data, rng)
    if kind < 0.5:
        head = f"{{'descr': {descr!r}, 'fortran_order': {fortran!r}, 'shape': {shape!r}, }}".encode()
        text = mutators.mutate_text(head, rng) if rng.random() < 0.7 else head + rng.choice((b"(", b"-", b"[")) * 9000
        return _npy_of_text(text.decode("latin1"), content, rng.choice((1, 2, 3)))
    sides: list[Any] = list(shape)
    change = rng.randrange(6)
    if change == 0:
        descr = rng.choice(_TYPES)
    elif change == 1:
        fortran = rng.choice((not fortran, 1, None, "x"))
    elif change == 2 and sides:
        sides[rng.randrange(len(sides))] = rng.choice((*mutators.INTEGERS, None, 1.0, "3", True))
    elif change == 3:
        sides = rng.choice((sides[::-1], sides[:-1], [*sides, 1], [1] * 40, [], [math.prod(sides) if sides else 1]))
    elif change == 4:
        content = content[: rng.randrange(len(content) + 1)] if rng.random() < 0.5 else content * 2
    else:
        return npy(
            descr, fortran, rng.choice((sides, None, (0,), "x", (-3, 17, 2), 7)), content, rng.choice((1, 2, 3, 9))
        )
    return npy(descr, fortran, tuple(sides), content, rng.choice((1, 1, 1, 2, 3)))


def mutate_zip(data: bytes, rng: random.Random, member: Mutator = mutate_npy) -> bytes:
    """Members of a zip archive, their names, their compression, the entries of its directory."""
    if rng.random() < 0.15:
        return mutators.mutate_bytes(data, rng)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except Exception:
        return mutators.mutate_bytes(data, rng)
    i = rng.randrange(len(members)) if members else 0
    kind = rng.randrange(10)
    if not members or kind == 0:
        members.append(
            (rng.choice(("../x.npy", "poses_2d.npy", "intrinsics.npy", "a", "", "x" * 300)), rng.randbytes(9))
        )
    elif kind == 1:
        del members[i]
    elif kind == 2:
        name = rng.choice((*(name for name, _ in members), "/etc/x.npy", "..\\x.npy", "joint_mask.npy", "a.npy"))
        members[i] = name, members[i][1]
    elif kind == 3:
        members[i] = members[i][0], members[rng.randrange(len(members))][1]
    else:
        members[i] = members[i][0], member(members[i][1], rng)
    out = io.BytesIO()
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names that come twice
        with zipfile.ZipFile(out, "w", rng.choice(methods)) as archive:
            for name, content in members:
                archive.writestr(name or "x", content)
    made = bytearray(out.getvalue())
    if rng.random() < 0.25:  # what the directory says of a member: flags, method, checksum, sizes, offset
        entries = [found.start() for found in re.finditer(b"PK\x01\x02", bytes(made))]
        if entries:
            at = rng.choice(entries) + rng.choice((6, 8, 10, 16, 20, 24, 28, 42))
            size = 2 if rng.random() < 0.5 else 4
            made[at : at + size] = rng.choice((b"\0" * 4, b"\xff" * 4, b"\x01\0\0\0", b"\0\0\0\x7f", rng.randbytes(4)))[
                :size
            ]
    return bytes(made)


_PLAIN = [opcode for opcode in pickletools.opcodes if opcode.arg is None]


def mutate_pickle(data: bytes, rng: random.Random) -> bytes:
    """Instructions of a pickle: left out, doubled, exchanged, brought in; their arguments changed."""
    if rng.random() < 0.15:
        return mutators.mutate_bytes(data, rng)
    try:
        starts = [place for _, _, place in pickletools.genops(data)]
    except Exception:
        return mutators.mutate_bytes(data, rng)
    end = starts[-1] + 1
    pieces = [data[a:b] for a, b in zip(starts, [*starts[1:], end])]
    for _ in range(rng.choice((1, 1, 2, 5))):
        i, j = rng.randrange(len(pieces)), rng.randrange(len(pieces))
        kind = rng.randrange(7)
        if kind == 0 and len(pieces) > 1:
            del pieces[i]
        elif kind == 1:
            pieces.insert(j, pieces[i])
        elif kind == 2:
            pieces[i], pieces[j] = pieces[j], pieces[i]
        elif kind == 3:
            pieces.insert(i, rng.choice(_PLAIN).code.encode("latin1"))
        elif kind == 4:
            extra = (
                b"r\xff\xff\xff\x11",
                b"j\0\0\0\0",
                b"cos\nsystem\n",
                b"cbuiltins\nset\n",
                b"J\xff\xff\xff\x7f",
                b"F1e999\n",
                b"I" + b"9" * 50 + b"\n",
                b"\x8a\x09" + b"\xff" * 9,
                b"X\x04\0\0\0\xed\xa0\x80a",
                b"B\x00\x00\x00\x10",
            )
            pieces.insert(i, rng.choice(extra))
        elif kind == 5:
            pieces[i] = pieces[i][:1] + mutators.mutate_bytes(pieces[i][1:], rng) if len(pieces[i]) > 1 else pieces[i]
        else:
            pieces[i : i + 1] = [b"(", *[pieces[i]] * rng.choice((1, 3, 20)), b"t"]
    return b"".join(pieces)


def mutate_mat(data: bytes, rng: random.Random) -> bytes:
    """Bytes of a MATLAB file, within its compressed elements too, whose lengths then fit."""
    head, at, elements = data[:128], 128, []
    while at + 8 <= len(data):
        kind, length = struct.unpack("<II", data[at : at + 8])
        elements.append((kind, data[at + 8 : at + 8 + length]))
        at += 8 + length + (0 if kind == 15 else -length % 8)
    if not elements or rng.random() < 0.15:
        return mutators.mutate_bytes(data, rng)
    i = rng.randrange(len(elements))
    kind, content = elements[i]
    if kind == 15:
        with contextlib.suppress(zlib.error):
            content = zlib.compress(mutate_words(zlib.decompress(content), rng), 1)
    else:
        content = mutate_words(content, rng)
    elements[i] = kind, content
    return head + b"".join(
        struct.pack("<II", kind, len(content)) + content + b"\0" * (0 if kind == 15 else -len(content) % 8)
        for kind, content in elements
    )


def mutate_words(data: bytes, rng: random.Random) -> bytes:
    """Words of four bytes near the beginning, where types, sizes and flags are; or anything."""
    if rng.random() < 0.4 or len(data) < 16:
        return mutators.mutate_bytes(data, rng)
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2))):
        at = rng.randrange(min(len(out) // 4, rng.choice((20, 100, 100_000)))) * 4
        number = rng.choice(
            (0, 1, 2, 5, 6, 7, 9, 14, 15, 16, 17, 0x80000000, 0xFFFFFFFF, 1 << 28, rng.randrange(1 << 16))
        )
        out[at : at + 4] = struct.pack("<I", number)
    return bytes(out)


def mutate_hdf5(data: bytes, rng: random.Random) -> bytes:
    """Data sets and groups of an HDF5 file, or its bytes.

    In a child process: files that were damaged before can make the HDF5 library take all memory, or end the process.
    """
    seed = rng.getrandbits(64)
    if rng.random() < 0.4:
        return mutators.mutate_bytes(data, rng)
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        os.close(reading)
        try:
            with limits.bounded_memory(256 << 20), os.fdopen(writing, "wb") as pipe:
                pipe.write(_mutate_objects(data, random.Random(seed)))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        changed = pipe.read()
    os.waitpid(process, 0)
    return changed or mutators.mutate_bytes(data, rng)


def _mutate_objects(data: bytes, rng: random.Random) -> bytes:
    """Data sets and groups of an HDF5 file."""
    import h5py

    file = io.BytesIO(data)
    try:
        with h5py.File(file, "a") as content:
            names: list[str] = []
            content.visit(names.append)
            for _ in range(rng.choice((1, 1, 2))):
                name = rng.choice(names)
                if name not in content:
                    continue
                item = content[name]
                array = np.asarray(item[()]) if isinstance(item, h5py.Dataset) else np.zeros(3)
                kind = rng.randrange(12)
                del content[name]
                if kind == 0:
                    continue
                if kind == 1:
                    content.create_group(name)
                elif kind == 2:
                    content[name] = h5py.SoftLink(rng.choice(("/", f"/{name}", "/nowhere", f"/{names[0]}")))
                elif kind == 3:
                    content[name] = h5py.ExternalLink("/etc/passwd", "/x")
                elif kind == 4:
                    shape = rng.choice(((10**9, 17, 2), (3, 10**12), (1 << 40,)))
                    content.create_dataset(name, shape, "<f8", chunks=True)
                elif kind == 5:
                    content[name] = rng.choice(("text", b"bytes", 5, math.nan, -1.0, [[1, 2]], h5py.Empty("f4")))
                elif kind == 6:
                    content[name] = array.reshape(-1)[: rng.randrange(array.size + 1)]
                elif kind == 7:
                    content[name] = array[None] if rng.random() < 0.5 else array.T
                elif kind == 8 and array.dtype.kind in "iuf":
                    content[name] = np.full(array.shape, rng.choice(mutators.FLOATS))
                elif kind == 9 and array.dtype.kind in "iuf" and array.size:
                    values = array.astype(np.float64).reshape(-1)
                    values[rng.randrange(len(values))] = rng.choice(mutators.FLOATS)
                    content[name] = values.reshape(array.shape)
                elif kind == 10:
                    content[name] = np.full(array.shape, rng.choice((b"a", b"\xff\xff", b"../x", b"")))
                else:
                    content[name] = array
                    content.create_group(f"{name}_{rng.randrange(9)}")
    except Exception:  # what h5py itself does not take is no case
        return mutators.mutate_bytes(data, rng)
    return file.getvalue()
