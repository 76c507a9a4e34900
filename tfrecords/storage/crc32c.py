"""CRC-32C (Castagnoli), the checksum inside TFRecord files, without importing TensorFlow.

Importing TensorFlow takes seconds and hundreds of megabytes, once in every worker of a conversion; its core library
alone loads in hundredths of a second and uses the processor's own CRC instruction. Where that library or the function
in it is not found, NumPy computes the same from tables, some thirty times slower.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import pathlib
from typing import Callable

import numpy as np

_POLYNOMIAL = 0x82F63B78
_BLOCK = 1024
# tsl::crc32c::Extend(unsigned int, char const*, unsigned long) in the C++ name encoding of Linux and macOS.
_EXTEND = "_ZN3tsl6crc32c6ExtendEjPKcm"
_LIBRARIES = ("libtensorflow_framework.so.2", "libtensorflow_framework.2.dylib")
_CHECK = (b"123456789", 0xE3069283)  # RFC 3720's polynomial, the catalogue's check value
_MASK = 0xA282EAD8  # added by TFRecord, so that a checksum of data that holds checksums stays a good one


@functools.cache
def _function() -> Callable[[bytes], int]:
    return _from_tensorflow() or from_tables


def _from_tensorflow():
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or not spec.origin:
        return None
    for name in _LIBRARIES:
        path = pathlib.Path(spec.origin).parent / name
        try:
            extend = getattr(ctypes.CDLL(str(path)), _EXTEND)
        except (OSError, AttributeError):
            continue
        extend.restype = ctypes.c_uint32
        extend.argtypes = [ctypes.c_uint32, ctypes.c_char_p, ctypes.c_size_t]
        if extend(0, _CHECK[0], len(_CHECK[0])) == _CHECK[1]:
            return lambda data: extend(0, data, len(data))
    return None


@functools.cache
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """What each value of each byte of a block adds to the block's checksum `[1024, 256]`, and what a checksum's four
    bytes become when a block follows `[4, 256]`: a CRC is linear over exclusive or."""
    step = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        step = np.where(step & 1, (step >> 1) ^ np.uint32(_POLYNOMIAL), step >> 1).astype(np.uint32)
    shifts = np.empty((_BLOCK + 4, 256), np.uint32)  # row n: byte value followed by n zero bytes
    shifts[0] = step
    for n in range(1, len(shifts)):
        shifts[n] = step[shifts[n - 1] & 0xFF] ^ (shifts[n - 1] >> 8)
    # Byte k of a state (k = 0 is the lowest) acts like a byte of data in place k of the block that follows.
    return np.ascontiguousarray(shifts[:_BLOCK][::-1]), shifts[_BLOCK - 4 : _BLOCK][::-1].copy()


def from_tables(data: bytes) -> int:
    """The same as `crc32c`, by NumPy alone."""
    places, follow = _tables()
    padded = np.zeros(-(-max(len(data), 4) // _BLOCK) * _BLOCK, np.uint8)
    if len(data) < 4:
        state = 0xFFFFFFFF
        for byte in data:
            state = int(places[-1, (state ^ byte) & 0xFF]) ^ (state >> 8)
        return state ^ 0xFFFFFFFF
    # Zeros in front of the data leave a zero state as it is; the initial state of ones inverts the first four bytes.
    first = len(padded) - len(data)
    padded[first:] = np.frombuffer(data, np.uint8)
    padded[first : first + 4] ^= 0xFF
    blocks, columns, state = padded.reshape(-1, _BLOCK), np.arange(_BLOCK), 0
    for some in np.array_split(blocks, -(-len(blocks) // 64)):
        for block in np.bitwise_xor.reduce(places[columns, some], axis=1).tolist():
            state = block ^ int(
                follow[0, state & 0xFF]
                ^ follow[1, state >> 8 & 0xFF]
                ^ follow[2, state >> 16 & 0xFF]
                ^ follow[3, state >> 24]
            )
    return state ^ 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """The CRC-32C of `data`, an integer below 2**32."""
    return _function()(data)


def masked_crc32c(data: bytes) -> int:
    """The CRC-32C of `data` in the masked form that TFRecord files store."""
    crc = _function()(data)
    return (((crc >> 15) | (crc << 17)) + _MASK) & 0xFFFFFFFF
