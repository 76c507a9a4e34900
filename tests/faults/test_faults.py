"""A few points of the harness, of commands that need no TensorFlow; `python -m tests.faults` has the others."""

import json
import subprocess
import sys


def test_a_few_points(repository, tmp_path):
    command = [sys.executable, "-m", "tests.faults", "--seed=3", "--points=12", f"--report={tmp_path / 'report.json'}"]
    command.append("--only=convert arrays,gen_right")
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "report.json").read_text())["results"]
    assert len(results) == 12
    tried = [one for one in results if not one["skipped"]]
    assert len({one["fault"] for one in tried}) >= 4
    assert sum(one["reached"] for one in tried) > len(tried) / 2
    assert "| all |" in done.stdout
