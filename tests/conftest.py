"""Fixtures shared by all tests."""

import os
import pathlib

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository():
    """The root folder of this project."""
    return REPOSITORY


@pytest.fixture(scope="session")
def pose3d_data():
    """The folder of real data, from POSE3D_DATA or beside the repository; tests that need it skip without it."""
    folder = pathlib.Path(os.environ.get("POSE3D_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data not found: no folder {folder} (set POSE3D_DATA)")
    return folder
