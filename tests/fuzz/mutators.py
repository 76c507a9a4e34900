"""Changes to files that keep most of their structure, so that readers come further than the first check.

Each mutator takes the bytes of a file and a `random.Random` and returns other bytes; what it cannot take apart it
changes byte by byte.
"""

from __future__ import annotations

import contextlib
import copy
import gzip
import json
import math
import random
import re
from collections.abc import Callable
from typing import Any

Mutator = Callable[[bytes, random.Random], bytes]


INTEGERS = (0, 1, -1, 2, 3, 17, 255, 256, -128, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53, 2**60, 2**63, 2**64, 10**30)


FLOATS = (0.0, -0.0, 0.5, 1e-30, 1e6, 1e9, 1e30, 1e300, -1e308, math.inf, -math.inf, math.nan)


TEXTS = (
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
        return rng.choice(INTEGERS)
    if kind == 1:
        return rng.choice(FLOATS)
    if kind == 2:
        return rng.choice(TEXTS)
    if kind == 3:
        return rng.choice((None, True, False, [], {}, [[]], [None], {"": None}, [{}], [1, "a"], [[1], [1, 2]]))
    if kind == 4:
        return rng.uniform(-1000, 1000)
    if kind == 5:
        return rng.randrange(-5, 2000)
    if kind == 6:
        return [rng.choice(FLOATS) for _ in range(rng.choice((0, 1, 2, 3, 17, 34, 51)))]
    return {rng.choice(TEXTS): rng.choice(INTEGERS)}


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
            node[rng.choice(TEXTS)] = node[key]
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
