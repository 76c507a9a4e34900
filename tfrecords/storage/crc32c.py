"""CRC-32C (Castagnoli), the checksum inside TFRecord files, in the masked form that they store.

By google-crc32c, so that writing records does not import TensorFlow: that takes seconds and hundreds of megabytes, once
in every worker process.
"""

from __future__ import annotations

import google_crc32c

_MASK = 0xA282EAD8  # added by the TFRecord format, since checksums of data that holds checksums are weak


def masked_crc32c(data: bytes) -> int:
    """The masked CRC-32C of `data`, an integer below 2**32."""
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _MASK) & 0xFFFFFFFF
