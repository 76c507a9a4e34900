"""CRC-32C against the vectors of RFC 3720 (appendix B.4) and both ways of computing it against each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfrecords.storage import crc32c

VECTORS = [
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C),
    (b"", 0),
    (b"123456789", 0xE3069283),
]


@pytest.mark.parametrize(("data", "expected"), VECTORS)
def test_published_vectors(data, expected):
    assert crc32c.crc32c(data) == expected
    assert crc32c.from_tables(data) == expected


@given(st.binary(max_size=3000))
def test_tables_agree_with_the_library(data):
    assert crc32c.from_tables(data) == crc32c.crc32c(data)


def test_many_blocks():
    data = bytes(range(251)) * 1200
    assert crc32c.from_tables(data) == crc32c.crc32c(data)


def test_mask_is_the_one_of_the_format():
    crc = crc32c.crc32c(b"123456789")
    rotated = int(f"{crc:032b}"[-15:] + f"{crc:032b}"[:-15], 2)
    assert crc32c.masked_crc32c(b"123456789") == (rotated + 0xA282EAD8) % 2**32
