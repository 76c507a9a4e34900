"""Which form of operations which device gets, and when a training step is compiled."""

import os

import pytest
import tensorflow as tf

from tools.cli import command
from tools.training import flags as shared
from tools.training import op_forms, precision
from tools.training.session import TrainingDevices


@pytest.fixture
def devices(monkeypatch):
    def have(gpus):
        monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: gpus)
        monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: gpus)

    monkeypatch.delenv(op_forms.VARIABLE, raising=False)
    return have


def test_the_device_decides_and_can_be_overruled(devices, monkeypatch):
    devices([])
    assert op_forms.chosen() == op_forms.chosen("auto", jit_compile=True) == "cpu"
    assert op_forms.chosen("gpu") == "gpu"
    devices(["/GPU:0"])
    assert op_forms.chosen() == "gpu"
    assert op_forms.chosen(jit_compile=True) == "xla"
    monkeypatch.setenv(op_forms.VARIABLE, "cpu")
    assert op_forms.chosen() == "cpu"
    assert op_forms.chosen("xla") == "xla"
    with pytest.raises(ValueError, match="tpu"):
        op_forms.chosen("tpu")


def test_one_gpu_compiles_its_step(devices):
    devices([])
    assert not op_forms.compiles(None, 1)
    assert op_forms.compiles(True, 1)
    devices(["/GPU:0"])
    assert op_forms.compiles(None, 1)
    assert not op_forms.compiles(False, 1)
    assert not op_forms.compiles(None, 2)
    assert not op_forms.compiles(None, 1, on_gpu=False)
    assert op_forms.compiles(True, 1, on_gpu=False)


def test_the_flags_of_training(monkeypatch):
    declared = command.Flags("")
    shared.declare_strategy(declared, "nothing", "compile")
    with declared.group("Others"):
        declared.boolean("use_cpu", False, "")
        declared.boolean("use_fp16", False, "")
        declared.string("profile", "", "")
    assert "--op_forms=auto|cpu|gpu|xla" in declared.help("train.py")
    flags = declared.parse(["train.py", "--op_forms=gpu", "--nodeterministic"])
    devices = TrainingDevices.of_flags(flags)
    assert (devices.op_form, devices.jit_compile) == ("gpu", False)
    assert devices.as_settings() == {"precision": "float32", "jit_compile": False}
    assert TrainingDevices.of_flags(declared.parse(["train.py", "--jit_compile", "--nodeterministic"])).jit_compile


def test_float16_batches_stay_as_they_lie_unless_told_otherwise(monkeypatch):
    name = "TF_USE_CUDNN_BATCHNORM_SPATIAL_PERSISTENT"
    monkeypatch.setenv(name, "0")
    precision.keep_channels_last()
    assert os.environ[name] == "0"
    monkeypatch.delenv(name)
    precision.keep_channels_last()
    assert os.environ[name] == "1"
    monkeypatch.delenv(name)
