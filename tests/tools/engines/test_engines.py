"""Engines: which there are, what they count, and that errors of workers are one line of this process."""

import dataclasses
import shutil

import pytest

from tools.cli import command
from tools.cli.errors import InputError
from tools.engines import engine
from tools.engines.jobs import Outcome, Worker


@dataclasses.dataclass(frozen=True)
class Squares:
    """Writes the square of each piece into a file; pieces that `bad` divides are the input's fault."""

    folder: str
    bad: int = 0

    def setup(self):
        with open(f"{self.folder}/setups", "a") as file:
            file.write("x")
        return 2

    def process(self, state, piece):
        if self.bad and piece % self.bad == 0:
            raise InputError(f"input.json: pose {piece}: no such joint")
        with open(f"{self.folder}/{piece}", "w") as file:
            file.write(str(piece**state))
        return Outcome({"pieces": 1, "sum": piece}, [("odd", str(piece))] * (piece % 2))


def results(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.name != "setups"}


def parse(*arguments):
    flags = command.Flags("")
    engine.declare(flags, "work")
    return flags.parse(["work", *arguments])


def test_local_is_no_engine_and_knows_no_options():
    assert engine.Engine.of_flags(parse()) is None
    with pytest.raises(InputError, match=r"--runner_workers: goes with --runner=direct, flink"):
        engine.Engine.of_flags(parse("--runner_workers=2"))


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(engine.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"--runner=direct: needs apache_beam.*pip install"):
        engine.Engine.of_flags(parse("--runner=direct"))
    with pytest.raises(InputError, match=r"--runner=flink: needs pyflink"):
        engine.Engine.of_flags(parse("--runner=flink"))
    with pytest.raises(InputError, match=r"--runner=spark: needs pyspark"):
        engine.Engine.of_flags(parse("--runner=spark"))


def test_options_of_the_engine(monkeypatch):
    monkeypatch.setattr(engine.importlib.util, "find_spec", lambda name: name)
    chosen = engine.Engine.of_flags(
        parse("--runner=dataflow", "--runner_options=--region=a,b", "--runner_options=--x=1")
    )
    assert chosen == engine.Engine("dataflow", 0, ("--region=a,b", "--x=1"))
    assert engine.Engine("direct", 3).processes == 3
    assert engine.Engine("direct").processes == chosen.cores >= 1


def test_workers_take_over_the_limits_of_the_caller(monkeypatch, tmp_path):
    monkeypatch.setenv("POSE3D_INPUT_LIMITS", "2.5")
    worker = Worker.of(Squares(str(tmp_path)))
    assert worker.key() == Worker.of(Squares(str(tmp_path))).key() != Worker.of(Squares(str(tmp_path), 2)).key()
    monkeypatch.delenv("POSE3D_INPUT_LIMITS")
    worker.setup()
    assert engine.os.environ["POSE3D_INPUT_LIMITS"] == "2.5"
    monkeypatch.delenv("POSE3D_INPUT_LIMITS")


class TestBeam:
    @pytest.fixture(autouse=True)
    def _installed(self):
        pytest.importorskip("apache_beam", reason="Apache Beam is not installed (pip install -e '.[beam]')")

    def test_every_piece_once_and_counters_added_up(self, tmp_path):
        counters = engine.Engine("direct", 1).run(Squares(str(tmp_path)), range(1, 8), "Squares")
        assert counters == {"pieces": 7, "sum": 28, "skipped: odd": 4}
        assert results(tmp_path) == {str(n): str(n * n) for n in range(1, 8)}
        assert (tmp_path / "setups").read_text() == "x"
        assert engine.Engine("direct", 1).run(Squares(str(tmp_path)), [], "Squares") == {}

    def test_the_fault_of_an_input_is_one_line(self, tmp_path):
        with pytest.raises(InputError, match=r"^--runner=direct: input.json: pose 3: no such joint$"):
            engine.Engine("direct", 1).run(Squares(str(tmp_path), 3), range(1, 4), "Squares")


@pytest.mark.parametrize("name", ["spark", "flink"])
def test_options_of_an_engine_of_java(name):
    made = engine.Engine(name, 1, ("--a.b=1", "c=x=y")).configuration({"a.b": "0", "d": "2"})
    assert made == {"a.b": "1", "c": "x=y", "d": "2"}
    with pytest.raises(InputError, match=rf"^--runner_options=c: expected name=value of {name.capitalize()}'s conf"):
        engine.Engine(name, 1, ("c",)).configuration({})


@pytest.mark.slow
@pytest.mark.parametrize(("name", "package"), [("spark", "pyspark"), ("flink", "pyflink")])
class TestEnginesOfJava:
    @pytest.fixture(autouse=True)
    def _installed(self, name, package):
        pytest.importorskip(package, reason=f"{package} is not installed (pip install -e '.[{name}]')")
        if not shutil.which("java"):
            pytest.skip(f"{name} needs a Java")

    def test_every_piece_once_and_counters_added_up(self, tmp_path, name, package):
        counters = engine.Engine(name, 2).run(Squares(str(tmp_path)), range(1, 8), "Squares")
        assert counters == {"pieces": 7, "sum": 28, "skipped: odd": 4}
        assert results(tmp_path) == {str(n): str(n * n) for n in range(1, 8)}
        assert len((tmp_path / "setups").read_text()) <= 2  # once in each process, not for each piece

    def test_the_fault_of_an_input_is_one_line(self, tmp_path, name, package):
        with pytest.raises(InputError, match=rf"^--runner={name}: input.json: pose 3: no such joint$"):
            engine.Engine(name, 1).run(Squares(str(tmp_path), 3), range(1, 4), "Squares")


def test_what_java_says_of_a_failed_start():
    """Spark's own line says no more than that Java ended; a stack trace of 13 lines stood before it."""
    from tools.engines import spark

    text = (
        "26/11/27 08:07:40 WARN Utils: Your hostname resolves to a loopback address\n"
        'Exception in thread "main" org.apache.spark.SparkException: Master must start with spark or local\n'
        "\tat org.apache.spark.deploy.SparkSubmit.error(SparkSubmit.scala:1052)\n"
    )
    assert spark._of_java(text) == "Master must start with spark or local"
    assert spark._of_java("Picked up JAVA_OPTIONS") == ""


@pytest.mark.slow
def test_a_master_that_is_none_is_one_line(tmp_path, capfd):
    pytest.importorskip("pyspark", reason="pyspark is not installed (pip install -e '.[spark]')")
    if not shutil.which("java"):
        pytest.skip("no java here")
    chosen = engine.Engine("spark", 1, ("spark.master=foo://x",))
    with pytest.raises(
        InputError, match=r"--runner=spark: Spark can't be started: (Master must|Could not parse Master)"
    ):
        chosen.run(Squares(str(tmp_path)), [1], "squares")
    assert capfd.readouterr().err == ""
