"""Tests of training import people_for_tests.py by its name."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).parent))
