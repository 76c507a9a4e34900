"""Section gpu: rows go to the file as they are measured, failures are told, PyTorch is another's."""

import json
import sys
import threading

import pytest

from tools import benchmark
from tools.benchmarks import common, gpu, recorder
from tools.cli import command


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def measured(into, name, call, **options):
    return into.measure(name, lambda: call, 10, "x/s", repeats=3, calls=2, wait=lambda: None, **options)


def test_rows_are_written_as_they_are_measured(tmp_path):
    path, calls = tmp_path / "new" / "rows.jsonl", []
    into = recorder.Recorder(str(path))
    rate = measured(into, "this", lambda: calls.append(len(calls)), against="that", than=common.Rate((2.0,)), goal=1.0)
    assert len(calls) == 2 + 3 * 2
    assert len(rate.each) == 3
    first, second = lines(path)
    assert (first["name"], first["unit"]) == ("this: made and first call", "s")
    assert second["ratio"] == pytest.approx(rate.median / 2.0)
    assert [vars(row) for row in into.rows] == [first, second]


def test_a_failure_is_told_and_the_next_goes_on(tmp_path):
    def fail():
        raise MemoryError("of the card")

    into = recorder.Recorder(str(tmp_path / "rows"))
    assert measured(into, "too large", fail) is None
    assert measured(into, "fits", lambda: None) is not None
    assert into.missing == {"too large": "MemoryError: of the card"}
    assert lines(tmp_path / "rows")[0] == {"name": "too large", "missing": "MemoryError: of the card"}


def test_nothing_is_begun_after_its_time():
    into, calls = recorder.Recorder(seconds=1e-9), []
    assert measured(into, "late", lambda: calls.append(1)) is None
    assert not calls
    assert "time" in into.missing["late"]


def test_first_calls_side_by_side_then_all_in_turns(tmp_path):
    """First calls wait for each other, so they would never end one by one; afterwards nothing overlaps."""
    together, order, fails = threading.Barrier(2, timeout=30), [], iter([True, False])
    begun: set[str] = set()

    def candidate(name):
        def call():
            if name not in begun:
                begun.add(name)
                together.wait()
            else:
                order.append(name)

        return recorder.Candidate(name, lambda: call, 10, "x/s")

    def flaky():
        if next(fails, False):
            raise MemoryError("both at once")

    def broken():
        raise MemoryError("of the card")

    into = recorder.Recorder(str(tmp_path / "rows"))
    candidates = [candidate("a"), candidate("b"), recorder.Candidate("flaky", lambda: flaky, 10, "x/s")]
    candidates.append(recorder.Candidate("broken", lambda: broken, 10, "x/s"))
    rates = into.measure_in_turns(
        candidates, repeats=3, calls=1, wait=lambda: None, at_once=2, between=lambda: order.append("between")
    )
    assert "".join(order) == "between" + "ab" + "ab" * 3
    assert set(rates) == {"a", "b", "flaky"}
    assert all(len(rate.each) == 3 for rate in rates.values())
    assert into.missing == {"broken": "MemoryError: of the card"}
    written = {row["name"] for row in lines(tmp_path / "rows")}
    assert {"a: first call, 2 at once", "a", "b", "flaky", "broken"} <= written


def test_in_turns_nothing_is_begun_after_its_time():
    into, calls = recorder.Recorder(seconds=1e-9), []
    one = recorder.Candidate("late", lambda: lambda: calls.append(1), 10, "x/s")
    assert into.measure_in_turns([one], repeats=1, calls=1, wait=lambda: None) == {}
    assert not calls
    assert "time" in into.missing["late"]


def test_what_falls_short_is_profiled(tmp_path):
    import tensorflow as tf

    into = recorder.Recorder(profile=str(tmp_path))
    fast, slow = common.Rate((1e-9,)), common.Rate((1e12,))
    for name, than in (("good enough", fast), ("too, slow", slow)):
        measured(into, name, lambda: tf.ones([2]) + 1.0, against="that", than=than, goal=1.0)
    assert [path.name for path in tmp_path.iterdir()] == ["too_slow"]
    assert list((tmp_path / "too_slow").rglob("*.xplane.pb"))


@pytest.fixture
def other_python(tmp_path, monkeypatch):
    """A program in PyTorch's place that prints rows, and what it sees of this Python's variables."""
    program = tmp_path / "python"
    rows = [
        {"name": f"hourglass training, batch {size}, {form}", "unit": "images/s", "each": [rate], "version": "9.9"}
        for size, form, rate in (
            (6, "float32", 5.0),
            (64, "float32", 30.0),
            (64, "float16, channels last", 50.0),
            (64, "float16, torch.compile", 70.0),
        )
    ]
    text = "\n".join(json.dumps(row) for row in rows)
    code = f"#!{sys.executable}\nimport os, sys\nprint('a notice')\nprint('''{text}''')\n"
    code += (
        "assert 'PYTHONHOME' not in os.environ and sys.argv[1:5] == ['-m', 'tools.benchmarks.torch_gpu', '2', '0']\n"
    )
    program.write_text(code, encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    return program


def test_pytorch_of_another_python(other_python):
    settings = common.BenchmarkSettings(2, 0.01, parts=("torch",), torch_python=str(other_python))
    rows = gpu.measure(settings)
    assert [(row.name, row.value) for row in rows][1] == ("PyTorch 9.9: hourglass training, batch 64, float32", 30.0)
    m = gpu._Measurement(settings)
    m.trainings = {"hourglass training, batch 64, mixed_float16, form gpu, variables as vectors": common.Rate((35.0,))}
    gpu._torch(m)
    beside = {row.against: (row.ratio, row.goal) for row in m.recorder.rows if row.name.endswith("beside PyTorch")}
    assert beside == {"PyTorch, float16, channels last": (0.7, 1.0), "PyTorch, float16, torch.compile": (0.5, 0.9)}
    name, rate = m.best_torch("hourglass training, batch 64")
    assert (name, rate.median) == ("PyTorch, float16, channels last", 50.0)
    assert m.best_torch("hourglass training, batch 64", compiled=True)[1].median == 70.0
    assert m.best_torch("hourglass training, batch 6")[1].median == 5.0
    assert m.best_torch("hourglass training, batch 32") == ("", None)


def test_as_a_command_on_a_cpu(tmp_path, capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            command.run(benchmark.main, benchmark.declare, ["benchmark", "gpu", *arguments])
        return ended.value.code, capsys.readouterr()

    assert set(benchmark._PARTS) == set(gpu.PARTS)
    status, printed = run("--scale=0.01", "--repeats=1", "--parts=limits", f"--output={tmp_path / 'rows'}")
    assert status == 0
    assert "| limit: memory, read and written | " in printed.out
    assert "not measured" not in printed.err
    assert [row["unit"] for row in lines(tmp_path / "rows")].count("TFLOP/s") == 3
    status, printed = run("--parts=limits,nonsense")
    assert status == 2
    assert "no part 'nonsense'" in printed.err
