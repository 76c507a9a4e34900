"""A bounded run of the fuzzing: every reader reads or refuses what a few changes make of its sample."""

import os
import random
import subprocess
import sys


def test_every_reader_reads_or_refuses(repository, tmp_path):
    command = ["-m", "tests.fuzz", "--cases=10", "--seconds=600", "--seed=13", "--notensorflow"]
    done = subprocess.run(
        [sys.executable, *command, f"--findings={tmp_path}"],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert " 0 findings\n" in done.stdout


def test_a_fault_is_a_finding(repository, tmp_path):
    """An exception that is no `InputError`, memory and a crash are found, with their files."""
    faults = {
        "exception": "raise KeyError('x')",
        "memory": "global kept; kept = bytearray(700 << 20)",
        "crash": "import os; os.abort()",
    }
    for kind, code in faults.items():
        program = f"""
import pathlib, sys
from tests.fuzz import runner, targets
def read(folder):
    if (folder / "decisions.json").read_bytes() != sample["decisions.json"]:
        {code}
sample = targets.TARGETS["decisions"].make()
targets.TARGETS["decisions"] = targets.Target(lambda: sample, targets.TARGETS["decisions"].changed, read)
runner.corpus = lambda name: []
places = [pathlib.Path(sys.argv[1]) / name for name in ("state", "found")]
places[1].mkdir()
outcome = runner.run("decisions", "1", 60, 2, *places)
for found in outcome.findings:
    print(found[0], len(list(pathlib.Path(found[2]).iterdir())))
"""
        place = tmp_path / kind
        place.mkdir()
        environment = {**os.environ, "PYTHONPATH": str(repository)}
        done = subprocess.run(
            [sys.executable, "-c", program, str(place)], cwd=repository, env=environment, capture_output=True, text=True
        )
        assert set(done.stdout.splitlines()) == {f"{kind} 1"}, done.stdout + done.stderr


def test_changes_keep_the_structure(monkeypatch, repository):
    """Most changes of a record file still have records with sound checksums, and most of an .npz are archives."""
    import io
    import zipfile

    import numpy as np

    monkeypatch.syspath_prepend(str(repository))
    from tests.fuzz import array_mutators

    out = io.BytesIO()
    np.savez(out, a=np.zeros((3, 17, 2)))
    archives = 0
    for seed in range(60):
        changed = array_mutators.mutate_zip(out.getvalue(), random.Random(seed))
        assert changed == array_mutators.mutate_zip(out.getvalue(), random.Random(seed))
        archives += zipfile.is_zipfile(io.BytesIO(changed))
    assert archives > 40
