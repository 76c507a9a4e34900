"""What the tests of image sources share: pictures made by OpenCV, and the numbers of records of a source."""

import pathlib
import sys

import cv2
import numpy as np
import pytest

from tfrecords.sources import open_source
from tfrecords.sources.base import Options

# Worker processes import sources_for_tests.py by its name; they get this process's search path.
sys.path.append(str(pathlib.Path(__file__).parent))


def _encode(width, height, suffix=".jpg", seed=0):
    """An image file of smooth random content, as OpenCV writes it."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    done, data = cv2.imencode(suffix, cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))
    assert done
    return data.tobytes()


@pytest.fixture(scope="session")
def encode():
    """encode(width, height, suffix='.jpg', seed=0): the bytes of an image file."""
    return _encode


@pytest.fixture
def read_all():
    """read_all(source name, path, **options): every item of the source."""

    def read(name, path, **options):
        source = open_source(name, path, Options(**options))
        items = list(source.records(np.arange(len(source))))
        assert len(items) == len(source)
        return items

    return read
