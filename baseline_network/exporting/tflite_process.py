"""Runs a TFLite file in a process of its own: its native code can end the process it runs in.

`run` starts this module with the file and some crops, and gets back what the file answers and how long a call takes.
"""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import numpy as np

from tools.cli.errors import InputError

_ROOT = str(pathlib.Path(__file__).resolve().parents[2])
_SECONDS = 3600  # a check takes seconds; nothing of it waits for ever
_CODE = "from baseline_network.exporting import tflite_process; tflite_process.main()"


def run(content: bytes, crops: np.ndarray, name: str) -> tuple[dict[str, np.ndarray], float]:
    """What a TFLite file says of crops [N, r, r, 3], as `formats.TFLiteCore`, and the milliseconds of one call.

    Args:
      name: of the file, for messages.

    Raises:
      InputError: the process that ran it crashed, failed, or found no end.
    """
    with tempfile.TemporaryDirectory(prefix="tflite-") as folder:
        place = pathlib.Path(folder)
        (place / "core.tflite").write_bytes(content)
        np.save(place / "crops.npy", crops)
        paths = os.pathsep.join([_ROOT, *filter(None, [os.environ.get("PYTHONPATH", "")])])
        environment = {**os.environ, "PYTHONPATH": paths, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
        try:
            done = subprocess.run(
                [sys.executable, "-c", _CODE, folder], capture_output=True, env=environment, timeout=_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise InputError(f"{name}: TFLite found no end when it ran it") from None
        if done.returncode < 0:
            number = -done.returncode
            names = {one.value: one.name for one in signal.Signals}
            raise InputError(f"{name}: TFLite crashed when it ran it ({names.get(number, f'signal {number}')})")
        if done.returncode:
            words = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no word"]
            raise InputError(f"{name}: TFLite failed when it ran it ({words[-1][:200]})")
        with np.load(place / "outputs.npz") as outputs:
            answers = {key: outputs[key] for key in outputs.files if key != "ms"}
            return answers, float(outputs["ms"])


def main() -> None:
    """What the process does: reads core.tflite and crops.npy of the folder it is given, writes outputs.npz."""
    from baseline_network.exporting import formats

    place = pathlib.Path(sys.argv[1])
    core = formats.TFLiteCore((place / "core.tflite").read_bytes())
    crops = np.load(place / "crops.npy")
    answers = core(crops)
    np.savez(place / "outputs.npz", ms=formats.milliseconds(lambda: core(crops[:1])), **answers)
