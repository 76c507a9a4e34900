"""Installs the packages of the project; `pip install -e .` is what demo.sh and test.sh do."""

import pathlib
import re

from setuptools import find_namespace_packages, setup

HERE = pathlib.Path(__file__).resolve().parent

# what builds the documentation as pages; a test builds them too
DOCS = ["mkdocs>=1.6,<2", "mkdocs-material>=9.5,<10", "mkdocstrings[python]>=1,<2", "setuptools<81"]

BEAM = ["apache-beam>=2.61,<3"]
C3D = ["ezc3d>=1.5"]
SERVING = ["tensorflow-serving-api>=2.15.1,<2.16"]


def requirements(name):
    """The requirement lines of a file beside this one, without comments."""
    lines = (line.split("#")[0].strip() for line in (HERE / name).read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def version():
    """The project's version, from the one place that states it."""
    text = (HERE / "label_generator" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'__version__ = "([^"]+)"', text)[1]


setup(
    name="pose3d-label-generator",
    version=version(),
    description="3D labels for in-the-wild 2D human poses, and a network trained on them (TensorFlow 2 / Keras)",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.9,<3.12",
    packages=find_namespace_packages(
        include=["label_generator*", "baseline_network*", "tfrecords*", "tools*"], exclude=["*__pycache__*"]
    ),
    package_data={
        **{
            name: ["flags/*.cfg", "weights/*", "weights/*/*", "py.typed"]
            for name in ("label_generator", "baseline_network")
        },
        **{name: ["py.typed", "*/*/*.css", "*/*/*.js", "*/*/*.html"] for name in ("tfrecords", "tools")},
        "tools.detection": ["weights/*"],
    },
    # the commands under names of their own, for who installs the wheel
    entry_points={
        "console_scripts": [
            "pose3d-labels=tools.cli.console:labels",
            "pose3d-demo=tools.cli.console:demo",
            "pose3d-evaluate=tools.cli.console:evaluate",
            "pose3d-train=tools.cli.console:train",
            "pose3d-export=tools.cli.console:export",
            "pose3d-records=tools.cli.console:records",
            "pose3d-inspect=tools.cli.console:inspect",
            "pose3d-split=tools.cli.console:split",
            "pose3d-review=tools.cli.console:review",
            "pose3d-predict=tools.cli.console:predict",
            "pose3d-train-baseline=tools.cli.console:train_baseline",
            "pose3d-evaluate-baseline=tools.cli.console:evaluate_baseline",
            "pose3d-export-baseline=tools.cli.console:export_baseline",
            "pose3d-trainings=tools.cli.console:trainings",
            "pose3d-completion=tools.cli.console:completion",
        ]
    },
    install_requires=requirements("requirements.txt"),
    extras_require={
        # what ./test.sh adds
        "test": [
            "pytest>=7.4,<9",
            "pytest-xdist>=3",
            "hypothesis>=6.80",
            "ruff>=0.5",
            "scipy>=1.10",
            "mypy>=1.10,<2",
            "nbclient>=0.8",
            "nbformat>=5.9",
            "ipykernel>=6",
            *DOCS,
            *BEAM,
            *C3D,
            *SERVING,
        ],
        # the documentation as pages: mkdocs serve
        "docs": DOCS,
        # label_generator/export.py --format=onnx, baseline_network/export.py --formats=onnx
        "onnx": [
            "tf2onnx>=1.17; python_version>='3.10'",
            "onnx>=1.16,<1.17; python_version>='3.10'",
            "onnxruntime>=1.17,<1.20; python_version>='3.10'",
        ],
        # TensorBoard's Profile tab
        "profile": ["tensorboard-plugin-profile>=2.15,<2.16"],
        # --formats=c3d
        "c3d": C3D,
        # --runner=direct, dataflow; run here: 2.77, which works with TensorFlow 2.15's protobuf 4 and NumPy 1
        "beam": BEAM,
        # --runner=flink, which needs a Java too; 2.1 and its Beam 2.61 work with TensorFlow 2.15 as well
        "flink": ["apache-flink>=2.1,<2.2"],
        # --runner=spark, which needs a Java too
        "spark": ["pyspark>=3.5,<5"],
        # tools/serve.py --grpc_port, and clients of tensorflow_model_server over gRPC
        "serving": SERVING,
        # reading PyTorch checkpoints, and the PyTorch twins of tools/benchmark.py
        "torch": ["torch>=2.1"],
    },
)
