"""A few points of the harness, of commands that need no TensorFlow; `python -m tests.faults` has the others."""

import json
import subprocess
import sys

from tests.faults import subjects


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


def test_of_an_export_times_are_not_compared_and_all_else_is(tmp_path):
    content = {"keras": {"ms": 5.1, "p_mpjpe": 420.3}, "files": [{"ms_static": 1.0, "bytes": 7, "inputs": "float32"}]}
    changed = {"keras": {"ms": 9e-5, "p_mpjpe": 420.3001}, "files": [{"ms_static": 2, "bytes": 8, "inputs": "float32"}]}
    other = {"keras": {"ms": 5.1, "p_mpjpe": 420.4}, "files": [{"ms_static": 1.0, "bytes": 7, "inputs": "float32"}]}

    def digest(value):
        (tmp_path / "export.json").write_text(json.dumps(value))
        return subjects.exported(tmp_path)

    assert digest(content) == digest(changed) != digest(other)
