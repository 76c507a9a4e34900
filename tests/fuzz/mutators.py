"""Changes to files that keep most of their structure, so that readers come further than the first check.

Each mutator takes the bytes of a file and a `random.Random` and returns other bytes; what it cannot take apart it
changes byte by byte.
"""

from __future__ import annotations

import contextlib
import copy
import gzip
import io
import json
import math
import pickletools
import random
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

Mutator = Callable[[bytes, random.Random], bytes]

_INTEGERS = (0, 1, -1, 2, 3, 17, 255, 256, -128, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53, 2**60, 2**63, 2**64, 10**30)
_FLOATS = (0.0, -0.0, 0.5, 1e-30, 1e6, 1e9, 1e30, 1e300, -1e308, math.inf, -math.inf, math.nan)
_TEXTS = (
    "",
    "a",
    "0",
    "-1",
    "nan",
    "NaN",
    "inf",
    "1e999",
    "9" * 400,
    "../../etc/passwd",
    "/dev/zero",
    "a/b",
    "\0",
    "\x1b[31m",
    "\ud800",
    "é",
    "\u202e",
    "x" * 5000,
    "S9",
    "person",
    "nose",
    "left_wrist",
    "a.jpg",
    "[" * 50,
    "121_34",
    "1,5",
    "None",
)


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """Bits, bytes, pieces: turned, cut out, doubled, overwritten by extreme numbers."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        if not out:
            return rng.randbytes(rng.randrange(1, 40))
        kind, at = rng.randrange(9), rng.randrange(len(out))
        end = min(len(out), at + rng.choice((1, 2, 4, 8, 64, 1000)))
        if kind == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif kind == 2:
            size = rng.choice((2, 4, 8))
            number = rng.choice(
                (0, 1, 2 ** (8 * size - 1) - 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1, len(out), 1 << 12)
            )
            out[at : at + size] = (number % 2 ** (8 * size)).to_bytes(size, rng.choice(("little", "big")))
        elif kind == 3:
            del out[at:end]
        elif kind == 4:
            out[at:at] = out[at:end]
        elif kind == 5:
            out[at:at] = rng.randbytes(rng.randrange(1, 16))
        elif kind == 6:
            to = rng.randrange(len(out))
            out[to : to + end - at] = out[at:end]
        elif kind == 7 and rng.random() < 0.3:
            del out[at:]
        else:
            out[at:end] = bytes(end - at)
    return bytes(out)


def _value(rng: random.Random) -> Any:
    """A value that may stand anywhere in a JSON text."""
    kind = rng.randrange(8)
    if kind == 0:
        return rng.choice(_INTEGERS)
    if kind == 1:
        return rng.choice(_FLOATS)
    if kind == 2:
        return rng.choice(_TEXTS)
    if kind == 3:
        return rng.choice((None, True, False, [], {}, [[]], [None], {"": None}, [{}], [1, "a"], [[1], [1, 2]]))
    if kind == 4:
        return rng.uniform(-1000, 1000)
    if kind == 5:
        return rng.randrange(-5, 2000)
    if kind == 6:
        return [rng.choice(_FLOATS) for _ in range(rng.choice((0, 1, 2, 3, 17, 34, 51)))]
    return {rng.choice(_TEXTS): rng.choice(_INTEGERS)}


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """(container, key) of every value in a tree of lists and dicts."""
    found, waiting = [], [tree]
    while waiting:
        node = waiting.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        for key in keys:
            found.append((node, key))
            waiting.append(node[key])
    return found


def mutate_tree(tree: Any, rng: random.Random) -> Any:
    """A changed copy of a tree of lists, dicts and plain values."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = _places(tree)
        if not places:
            return _value(rng)
        # Long lists of numbers would draw nearly all changes.
        node, key = rng.choice(places) if rng.random() < 0.5 else rng.choice(places[: max(1, len(places) // 20)])
        kind = rng.randrange(8)
        if kind <= 2:
            node[key] = _value(rng)
        elif kind == 3:
            del node[key]
        elif kind == 4:
            other, place = rng.choice(places)
            with contextlib.suppress(KeyError, IndexError):
                node[key] = copy.deepcopy(other[place])
        elif kind == 5 and isinstance(node, list):
            node.insert(rng.randrange(len(node) + 1), copy.deepcopy(node[key]) if rng.random() < 0.7 else _value(rng))
        elif kind == 5:
            node[rng.choice(_TEXTS)] = node[key]
        elif kind == 6 and isinstance(node[key], (int, float)) and not isinstance(node[key], bool):
            node[key] = rng.choice((-node[key], node[key] * 1e6, str(node[key]), [node[key]], node[key] + 0.5))
        elif isinstance(node[key], list):
            node[key] = rng.choice((node[key][:-1], node[key] * 2, {"0": node[key]}, [node[key]], node[key][::-1]))
        else:
            node[key] = [node[key]]
    return tree


def mutate_json(data: bytes, rng: random.Random) -> bytes:
    """Values of a JSON tree, or its bytes; now and then as gzip."""
    kind = rng.random()
    if kind < 0.12:
        return mutate_bytes(data, rng)
    if kind < 0.15:
        return mutate_bytes(gzip.compress(data, 1), rng)
    if kind < 0.17:
        text = rng.choice((b"[", b'{"a":', b"-", b"9")) * rng.choice((100, 5000, 100_000))
        at = rng.randrange(len(data) + 1)
        return data[:at] + text + data[at:]
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return mutate_bytes(data, rng)
    return json.dumps(mutate_tree(tree, rng)).encode()


def mutate_json_lines(data: bytes, rng: random.Random) -> bytes:
    """One line of a file of JSON lines."""
    lines = data.split(b"\n")
    i = rng.randrange(len(lines))
    lines[i : i + 1] = rng.choice(([], [lines[i]] * 2, [mutate_json(lines[i], rng)], [mutate_json(lines[i], rng)]))
    return b"\n".join(lines)


_TOKENS = re.compile(rb"[^\s,;:]+")
_WORDS = (
    b"0",
    b"-1",
    b"1e999",
    b"nan",
    b"inf",
    b"9" * 30,
    b"1_0",
    b"0x1",
    b"",
    b"a",
    b"\xff",
    b"\xef\xbb\xbf",
    b"1,5",
    b'"',
    b"'",
    b"{",
    b"}",
    b"End",
    b"JOINT",
    b"Frames:",
    b"x" * 140_000,
    b"1e30",
    b"-0",
    b"2147483648",
    b"\0",
    b"CHANNELS 6",
)


def mutate_text(data: bytes, rng: random.Random) -> bytes:
    """Words and lines of a text of numbers: BVH, CSV."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        kind = rng.random()
        if kind < 0.1:
            data = mutate_bytes(data, rng)
            continue
        if kind < 0.4:
            lines = data.split(b"\n")
            i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
            change = rng.randrange(4)
            if change == 0:
                del lines[i]
            elif change == 1:
                lines.insert(j, lines[i])
            elif change == 2:
                lines[i], lines[j] = lines[j], lines[i]
            else:
                lines[i] += rng.choice((b",", b";", b" ", b"\t", b" 1", b",1", b"\r"))
            data = b"\n".join(lines)
            continue
        words = list(_TOKENS.finditer(data))
        if not words:
            return mutate_bytes(data, rng)
        word = rng.choice(words) if rng.random() < 0.6 else words[rng.randrange(min(len(words), 60))]
        other = rng.choice((rng.choice(_WORDS), rng.choice(words)[0], word[0] + rng.choice(_WORDS[:8])))
        data = data[: word.start()] + other + data[word.end() :]
    return data


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


def _numbers(content: bytes, rng: random.Random) -> bytes:
    """Bytes of float32 or float64 in which some numbers are extreme."""
    kind = np.float32 if rng.random() < 0.5 else np.float64
    values = np.frombuffer(content[: len(content) // 8 * 8], kind).copy()
    if not len(values):
        return content
    with np.errstate(all="ignore"):
        many = rng.choice((1, 3, len(values) // 2 + 1, len(values)))
        at = [rng.randrange(len(values)) for _ in range(min(many, 2000))]
        values[at] = kind(rng.choice((*_FLOATS, rng.uniform(-1e4, 1e4))))
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
        return mutate_bytes(data, rng)
    content = file.read()
    if dtype.hasobject and kind < 0.7:
        return npy(descr, fortran, shape, mutate_pickle(content, rng))
    if kind < 0.3:
        return npy(descr, fortran, shape, _numbers(content, rng))
    if kind < 0.4:
        return mutate_bytes(data, rng)
    if kind < 0.5:
        head = f"{{'descr': {descr!r}, 'fortran_order': {fortran!r}, 'shape': {shape!r}, }}".encode()
        text = mutate_text(head, rng) if rng.random() < 0.7 else head + rng.choice((b"(", b"-", b"[")) * 9000
        return _npy_of_text(text.decode("latin1"), content, rng.choice((1, 2, 3)))
    sides: list[Any] = list(shape)
    change = rng.randrange(6)
    if change == 0:
        descr = rng.choice(_TYPES)
    elif change == 1:
        fortran = rng.choice((not fortran, 1, None, "x"))
    elif change == 2 and sides:
        sides[rng.randrange(len(sides))] = rng.choice((*_INTEGERS, None, 1.0, "3", True))
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
        return mutate_bytes(data, rng)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except Exception:
        return mutate_bytes(data, rng)
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
        return mutate_bytes(data, rng)
    try:
        starts = [place for _, _, place in pickletools.genops(data)]
    except Exception:
        return mutate_bytes(data, rng)
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
            pieces[i] = pieces[i][:1] + mutate_bytes(pieces[i][1:], rng) if len(pieces[i]) > 1 else pieces[i]
        else:
            pieces[i : i + 1] = [b"(", *[pieces[i]] * rng.choice((1, 3, 20)), b"t"]
    return b"".join(pieces)


# --- protocol buffers and TFRecords ---------------------------------------------------------------------------------


def _varint(value: int) -> bytes:
    out = bytearray()
    value &= (1 << 64) - 1
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def _fields(data: bytes) -> list[tuple[bytes, bytes]] | None:
    """(tag, content) of a message of length-delimited fields with tags of one byte; None for anything else."""
    found, at = [], 0
    while at < len(data):
        tag = data[at]
        if tag & 7 != 2:
            return None
        length, shift, at = 0, 0, at + 1
        while at < len(data) and shift < 36:
            length |= (data[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if data[at - 1] < 0x80:
                break
        if at + length > len(data):
            return None
        found.append((bytes((tag,)), data[at : at + length]))
        at += length
    return found


def mutate_message(data: bytes, rng: random.Random, depth: int = 0) -> bytes:
    """Fields of a message, and of the messages in it."""
    fields = _fields(data)
    if not fields or depth > 5 or rng.random() < 0.1:
        return rng.choice(
            (mutate_bytes(data, rng), _numbers(data, rng), rng.choice(_TEXTS).encode("utf-8", "surrogatepass"))
        )
    i, kind = rng.randrange(len(fields)), rng.randrange(8)
    tag, content = fields[i]
    if kind == 0:
        del fields[i]
    elif kind == 1:
        fields.insert(i, fields[rng.randrange(len(fields))])
    elif kind == 2:
        fields[i] = bytes((rng.choice((0x0A, 0x12, 0x1A, 0x08, 0x0D, tag[0] ^ 8)),)), content
    else:
        fields[i] = tag, mutate_message(content, rng, depth + 1)
    lie = rng.randrange(len(fields)) if fields and rng.random() < 0.1 else -1
    return b"".join(
        tag + _varint(rng.choice((len(content) + 1, 0, 1 << 40)) if n == lie else len(content)) + content
        for n, (tag, content) in enumerate(fields)
    )


def _crc(data: bytes) -> bytes:
    from tfrecords.storage.crc32c import masked_crc32c

    return struct.pack("<I", masked_crc32c(data))


def frames_of(data: bytes) -> list[bytes] | None:
    """The records of a TFRecord file, None when it is none."""
    found, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 8], "little")
        if at + length + 16 > len(data):
            return None
        found.append(data[at + 12 : at + 12 + length])
        at += length + 16
    return found


def mutate_tfrecord(data: bytes, rng: random.Random) -> bytes:
    """A record in a TFRecord file, with checksums that fit; or lengths that don't."""
    frames = frames_of(data)
    if not frames or rng.random() < 0.1:
        return mutate_bytes(data, rng)
    i, kind = rng.randrange(len(frames)), rng.randrange(10)
    if kind == 0:
        del frames[i]
    elif kind == 1:
        frames.insert(i, rng.choice((b"", b"\x0a\0", rng.randbytes(30), frames[i])))
    else:
        frames[i] = mutate_message(frames[i], rng)
    parts = []
    for n, frame in enumerate(frames):
        length = len(frame)
        if n == len(frames) - 1 and rng.random() < 0.08:
            length = rng.choice((1 << 40, length + 1, 1 << 63, 0, (1 << 64) - 1))
        header = struct.pack("<Q", length)
        parts += [header, _crc(header), frame, _crc(frame)]
    return b"".join(parts)


# --- MATLAB ---------------------------------------------------------------------------------------------------------


def mutate_mat(data: bytes, rng: random.Random) -> bytes:
    """Bytes of a MATLAB file, within its compressed elements too, whose lengths then fit."""
    head, at, elements = data[:128], 128, []
    while at + 8 <= len(data):
        kind, length = struct.unpack("<II", data[at : at + 8])
        elements.append((kind, data[at + 8 : at + 8 + length]))
        at += 8 + length + (0 if kind == 15 else -length % 8)
    if not elements or rng.random() < 0.15:
        return mutate_bytes(data, rng)
    i = rng.randrange(len(elements))
    kind, content = elements[i]
    if kind == 15:
        with contextlib.suppress(zlib.error):
            content = zlib.compress(_mutate_words(zlib.decompress(content), rng), 1)
    else:
        content = _mutate_words(content, rng)
    elements[i] = kind, content
    return head + b"".join(
        struct.pack("<II", kind, len(content)) + content + b"\0" * (0 if kind == 15 else -len(content) % 8)
        for kind, content in elements
    )


def _mutate_words(data: bytes, rng: random.Random) -> bytes:
    """Words of four bytes near the beginning, where types, sizes and flags are; or anything."""
    if rng.random() < 0.4 or len(data) < 16:
        return mutate_bytes(data, rng)
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2))):
        at = rng.randrange(min(len(out) // 4, rng.choice((20, 100, 100_000)))) * 4
        number = rng.choice(
            (0, 1, 2, 5, 6, 7, 9, 14, 15, 16, 17, 0x80000000, 0xFFFFFFFF, 1 << 28, rng.randrange(1 << 16))
        )
        out[at : at + 4] = struct.pack("<I", number)
    return bytes(out)


# --- HDF5 -----------------------------------------------------------------------------------------------------------


def mutate_hdf5(data: bytes, rng: random.Random) -> bytes:
    """Data sets and groups of an HDF5 file, or its bytes."""
    import h5py

    if rng.random() < 0.4:
        return mutate_bytes(data, rng)
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
                    content[name] = np.full(array.shape, rng.choice(_FLOATS))
                elif kind == 9 and array.dtype.kind in "iuf" and array.size:
                    values = array.astype(np.float64).reshape(-1)
                    values[rng.randrange(len(values))] = rng.choice(_FLOATS)
                    content[name] = values.reshape(array.shape)
                elif kind == 10:
                    content[name] = np.full(array.shape, rng.choice((b"a", b"\xff\xff", b"../x", b"")))
                else:
                    content[name] = array
                    content.create_group(f"{name}_{rng.randrange(9)}")
    except Exception:  # what h5py itself does not take is no case
        return mutate_bytes(data, rng)
    return file.getvalue()


# --- pictures -------------------------------------------------------------------------------------------------------


def mutate_picture(data: bytes, rng: random.Random) -> bytes:
    """Segments of a JPEG, chunks of a PNG with checksums that fit, sizes of a GIF or BMP; or bytes."""
    kind = rng.random()
    if kind < 0.25:
        return mutate_bytes(data, rng)
    out = bytearray(data)
    side = rng.choice((0, 1, 2, 16, 255, 4000, 16_000, 65_000, 65_535))
    if data[:2] == b"\xff\xd8":
        segments = [found.start() for found in re.finditer(rb"\xff[\xc0-\xfe]", data)]
        at = rng.choice(segments)
        if kind < 0.5:
            frames = [found.start() for found in re.finditer(rb"\xff[\xc0-\xc2]\x00", data)]
            if frames:
                struct.pack_into(">H", out, frames[0] + rng.choice((5, 7)), side)
        elif kind < 0.6:
            out[at + 1] = rng.randrange(0xC0, 0xFF)
        elif kind < 0.7:
            exif = b"Exif\0\0" + mutate_bytes(b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0", rng)
            out[2:2] = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
        elif kind < 0.85 and at + 4 <= len(out):
            struct.pack_into(">H", out, at + 2, rng.choice((0, 1, 2, 3, 65_535, side)))
        else:
            out[at:at] = out[at : at + rng.randrange(2, 60)]
    elif data[:4] == b"\x89PNG":
        at, chunks = 8, []
        while at + 12 <= len(data):
            length = int.from_bytes(data[at : at + 4], "big")
            chunks.append([data[at + 4 : at + 8], data[at + 8 : at + 8 + length]])
            at += 12 + length
        chunk = rng.choice(chunks)
        if kind < 0.45 and len(chunks[0][1]) == 13:
            head = bytearray(chunks[0][1])
            if rng.random() < 0.6:
                struct.pack_into(">I", head, rng.choice((0, 4)), rng.choice((side, 1 << 30, (1 << 32) - 1)))
            else:
                head[rng.randrange(8, 13)] = rng.randrange(20)
            chunks[0][1] = bytes(head)
        elif kind < 0.6:
            chunks.insert(
                rng.randrange(len(chunks)),
                [rng.choice((b"eXIf", b"tEXt", b"zTXt", b"iCCP", b"PLTE")), rng.randbytes(20)],
            )
        elif kind < 0.7:
            chunks.remove(chunk)
        elif kind < 0.8:
            bomb = zlib.compress(bytes(3_000_000), 9)
            chunks.insert(1, [rng.choice((b"zTXt", b"iCCP")), b"a\0\0" + bomb])
        else:
            chunk[1] = mutate_bytes(chunk[1], rng)
        parts = [struct.pack(">I", len(c)) + t + c + struct.pack(">I", zlib.crc32(t + c)) for t, c in chunks]
        return data[:8] + b"".join(parts)
    elif data[:3] == b"GIF" and len(out) > 10:
        struct.pack_into("<H", out, rng.choice((6, 8)), side)
    elif data[:2] == b"BM" and len(out) > 26:
        struct.pack_into("<i", out, rng.choice((18, 22)), rng.choice((side, -side, 1 << 30)))
    else:
        return _mutate_words(data, rng)
    return bytes(out)


def mutate_tar(data: bytes, rng: random.Random) -> bytes:
    """Members of a tar of JSON files, and what its headers say of them."""
    if rng.random() < 0.2:
        return mutate_bytes(data, rng)
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            members = [(m.name, archive.extractfile(m).read()) for m in archive if m.isreg()]  # type: ignore[union-attr]
    except Exception:
        return mutate_bytes(data, rng)
    if not members:
        return mutate_bytes(data, rng)
    i = rng.randrange(len(members))
    members[i] = members[i][0], mutate_json(members[i][1], rng)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for n, (name, content) in enumerate(members):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if n == i and rng.random() < 0.5:
                kind = rng.randrange(5)
                if kind == 0:
                    info.name = rng.choice(("../../x.json", "/etc/x.json", "a\ud800.json", "x" * 300 + ".json"))
                elif kind == 1:
                    info.type, info.linkname = rng.choice(((tarfile.SYMTYPE, "/etc/passwd"), (tarfile.LNKTYPE, name)))
                elif kind == 2:
                    info.type = rng.choice((tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE))
                elif kind == 3:
                    header = bytearray(info.tobuf(errors="surrogateescape"))
                    header[124:136] = rng.choice(
                        (b"\x80" + b"\0" * 3 + (1 << 60).to_bytes(8, "big"), b"77777777777\0", b"x" * 12)
                    )
                    header[148:156] = b" " * 8
                    header[148:156] = b"%06o\0 " % sum(header)
                    out.write(bytes(header) + content + b"\0" * (-len(content) % 512))
                    archive.offset = out.tell()
                    continue
            with contextlib.suppress(ValueError, UnicodeError):
                archive.addfile(info, io.BytesIO(content))
    made = out.getvalue()
    return gzip.compress(made, 1) if data[:2] == b"\x1f\x8b" else made
