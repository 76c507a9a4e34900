"""Masked CRC-32C against the vectors of RFC 3720 (appendix B.4) and a loop over bits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfrecords.storage.crc32c import masked_crc32c

VECTORS = [
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C),
    (b"", 0),
    (b"123456789", 0xE3069283),
]


def masked(crc):
    """The mask of the format: rotated right by 15 bits, plus a constant."""
    bits = f"{crc:032b}"
    return (int(bits[-15:] + bits[:-15], 2) + 0xA282EAD8) % 2**32


def bit_by_bit(data):
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


@pytest.mark.parametrize(("data", "expected"), VECTORS)
def test_published_vectors(data, expected):
    assert bit_by_bit(data) == expected
    assert masked_crc32c(data) == masked(expected)


@given(st.binary(max_size=3000))
def test_every_length_and_byte(data):
    assert masked_crc32c(data) == masked(bit_by_bit(data))
