"""Fixtures of the tests of exports."""

import importlib.util
import pathlib

import pytest


@pytest.fixture(scope="session")
def video():
    """The functions and constants of motion_labels.py beside this file."""
    path = pathlib.Path(__file__).with_name("motion_labels.py")
    spec = importlib.util.spec_from_file_location("motion_labels_of_tests", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
