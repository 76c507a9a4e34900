"""Installs the packages of the project; `pip install -e .` is what demo.sh and test.sh do."""

import pathlib

from setuptools import find_namespace_packages, setup

HERE = pathlib.Path(__file__).resolve().parent


def requirements(name):
    """The requirement lines of a file beside this one, without comments."""
    lines = (line.split("#")[0].strip() for line in (HERE / name).read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


setup(
    name="pose3d-label-generator",
    version="0.1.0",
    description="3D labels for in-the-wild 2D human poses, and a network trained on them (TensorFlow 2 / Keras)",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.9,<3.12",
    packages=find_namespace_packages(
        include=["label_generator*", "baseline_network*", "tfrecords*", "tools*"], exclude=["*__pycache__*"]
    ),
    package_data={"label_generator": ["flags/*.cfg", "weights/*"], "baseline_network": ["flags/*.cfg", "weights/*"]},
    install_requires=requirements("requirements.txt"),
    extras_require={
        # what ./test.sh adds
        "test": ["pytest>=7.4,<9", "pytest-xdist>=3", "hypothesis>=6.80", "ruff>=0.5", "scipy>=1.10", "mypy>=1.10,<2"],
        # the documentation as pages: mkdocs serve
        "docs": ["mkdocs>=1.6,<2", "mkdocs-material>=9.5,<10", "mkdocstrings[python]>=0.25,<1", "setuptools<81"],
        # reading PyTorch checkpoints, and the PyTorch twins of tools/benchmark.py
        "torch": ["torch>=2.1"],
    },
)
