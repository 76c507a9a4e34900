"""Runs cases in child processes, watches what becomes of them, and keeps those that reach new lines."""

from __future__ import annotations

import dataclasses
import dis
import io
import json
import math
import os
import pathlib
import pickle
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any

from tests.fuzz.samples import Files
from tests.fuzz.targets import TARGETS, Target
from tools.cli.errors import InputError

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests" / "data" / "fuzz"
_PACKAGES = tuple(str(ROOT / name) + os.sep for name in ("tools", "tfrecords", "label_generator", "baseline_network"))
_SECONDS_OF_CPU = 10.0  # that one case may take
_SILENT = 180.0  # seconds of the wall clock without an end of a case: it hangs
_MEGABYTES = 600  # that one case may add
_MOST_MEGABYTES = 2000  # of a process: libraries leak memory on damaged files, and a new process goes on
_ANEW = 6  # exit status
_ADDRESS_SPACE = 12 << 30
_MOST_SAMPLES = 200  # in the population of one parser


@dataclasses.dataclass
class Outcome:
    """What became of the cases of one parser: counts, and findings as (kind, what, folder of the files)."""

    cases: int = 0
    success: int = 0
    refused: int = 0
    lines: int = 0
    samples: int = 0
    findings: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)


class _Lines:
    """The lines of this project that were run since the start; `taken()` tells whether there were new ones."""

    def __init__(self) -> None:
        self.all: set[tuple[str, int]] = set()
        self._new: set[tuple[str, int]] = set()
        self._waiting: dict[CodeType, set[int]] = {}  # lines that were not run yet; most functions soon have none

    def trace(self, frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        waiting = self._waiting.get(code)
        if waiting is None:
            ours = code.co_filename.startswith(_PACKAGES)
            waiting = {line for _, line in dis.findlinestarts(code)} if ours else set()
            waiting -= {line for file, line in self.all if file == code.co_filename}
            self._waiting[code] = waiting
        return self._line if waiting else None

    def _line(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            place = frame.f_code.co_filename, frame.f_lineno
            if place not in self.all:
                self._new.add(place)
                self._waiting[frame.f_code].discard(frame.f_lineno)
        return self._line

    def clear(self) -> None:
        """Forgets everything."""
        self.all.clear()
        self._waiting.clear()

    def taken(self) -> set[tuple[str, int]]:
        """The new lines since the last call."""
        new, self._new = self._new, set()
        self.all |= new
        return new


def corpus(name: str, folder: pathlib.Path = CORPUS) -> list[Files]:
    """The cases of a parser that are kept in the repository."""
    path = folder / f"{name}.zip"
    cases: dict[str, Files] = {}
    if path.exists():
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                case, _, file = member.partition("/")
                cases.setdefault(case, {})[file] = archive.read(member)
    return [cases[case] for case in sorted(cases)]


def save_corpus(name: str, cases: list[Files], folder: pathlib.Path = CORPUS) -> None:
    """Keeps cases in the repository; the same cases give the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, files in enumerate(cases):
            for file, content in sorted(files.items()):
                info = zipfile.ZipInfo(f"{number:03d}/{file}")
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, content)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.zip").write_bytes(out.getvalue())


def write(files: Files, folder: pathlib.Path) -> None:
    """The files of a case, and nothing else, in a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def changed(target: Target, files: Files, rng: random.Random) -> Files:
    """A changed copy of a case."""
    names = [name for name in target.changed if name in files]
    files = dict(files)
    if not names:
        return target.make()
    for name in rng.sample(names, 1 if rng.random() < 0.8 else rng.randrange(1, len(names) + 1)):
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            files[name] = target.changed[name](files[name], rng)
        if rng.random() < 0.01:
            del files[name]
    return files


def place_of(error: BaseException) -> str:
    """The last line of this project that an exception came through."""
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename.startswith(_PACKAGES):
            place = f"{os.path.relpath(frame.f_code.co_filename, ROOT)}:{line}"
    return place


def peak_megabytes() -> float:
    """The most memory that this process held since the last call."""
    try:
        status = pathlib.Path("/proc/self/status").read_text()
        peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    except (OSError, IndexError):  # not Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return peak


def _child(name: str, seed: str, state: pathlib.Path, seconds: float, cases: int, pipe: int) -> None:
    """Runs cases of one parser; writes a JSON line to `pipe` after each."""
    target, lines = TARGETS[name], _Lines()
    if not target.tensorflow:
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    folder, kept = state / "case", state / "population"
    first = [target.make(), *corpus(name)]
    population: list[Files] = pickle.loads(kept.read_bytes()) if kept.exists() else []
    rng = random.Random(seed)
    # Every sample once as it is, so that new lines are those of changes.
    queue = first + population
    number, end = 0, time.monotonic() + seconds
    write(target.make(), folder)
    target.read(folder)  # the sample itself is sound
    peak_megabytes()
    while queue or (time.monotonic() < end and number < cases):
        if queue:
            files, replayed = queue.pop(0), True
        else:
            files, replayed = changed(target, rng.choice(first + population * 2), rng), False
            number += 1
        write(files, folder)
        before, started, kind, what = peak_megabytes(), time.process_time(), "success", ""
        sys.settrace(lines.trace)
        try:
            target.read(folder)
        except InputError as error:
            kind = "refused"
            if "\n" in str(error):
                kind, what = "message of several lines", f"{error} at {place_of(error)}"[:500]
        except BaseException as error:
            kind, what = "exception", f"{type(error).__name__}: {str(error)[:200]} at {place_of(error)}"
        finally:
            sys.settrace(None)
        after = peak_megabytes()
        grown, spent = after - before, time.process_time() - started
        if kind in ("success", "refused"):
            if spent > _SECONDS_OF_CPU:
                kind, what = "slow", f"{spent:.0f} s"
            elif grown > _MEGABYTES:
                kind, what = "memory", f"{grown:.0f} MB"
        fresh = lines.taken() and not replayed and kind in ("success", "refused")
        if fresh and len(population) < _MOST_SAMPLES and sum(map(len, files.values())) < 100_000:
            population.append(files)
            kept.write_bytes(pickle.dumps(population))
        result = {"kind": kind, "what": what, "replayed": replayed, "lines": len(lines.all), "samples": len(population)}
        os.write(pipe, json.dumps(result).encode() + b"\n")
        if kind not in ("success", "refused"):
            # The parent keeps the files and starts another child.
            os.close(pipe)
            os._exit(3)
        if after > _MOST_MEGABYTES:
            os._exit(_ANEW)
    os._exit(0)


def _state(process: int) -> tuple[bool, float]:
    """Whether a process waits for a processor that others use, and the seconds of CPU that it has had."""
    try:
        fields = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # not Linux
        return False, 0.0
    return fields[0] == "R", (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _results(pipe: int, process: int) -> Iterator[dict[str, Any] | None]:
    """What the child reports, and None when it hangs."""
    buffer, spent = b"", math.inf
    while True:
        ready, _, _ = select.select([pipe], [], [], _SILENT)
        if not ready:
            before, (waits, spent) = spent, _state(process)
            if waits and spent - before < _SECONDS_OF_CPU:
                continue
            os.kill(process, signal.SIGKILL)
            yield None
            return
        data = os.read(pipe, 1 << 16)
        if not data:
            return
        *whole, buffer = (buffer + data).split(b"\n")
        yield from map(json.loads, whole)


def run(name: str, seed: str, seconds: float, cases: int, state: pathlib.Path, findings: pathlib.Path) -> Outcome:
    """Cases of one parser for so many seconds, or so many of them; `state` keeps its population between calls."""
    outcome, end, part = Outcome(), time.monotonic() + seconds, 0
    state.mkdir(parents=True, exist_ok=True)
    while True:
        reading, writing = os.pipe()
        sys.stdout.flush()
        process = os.fork()
        if not process:
            os.close(reading)
            try:
                left = end - time.monotonic()
                _child(name, f"{seed}/{name}/{part}", state, left, cases - outcome.cases, writing)
            except BaseException:
                traceback.print_exc(file=sys.stdout)
                sys.stdout.flush()
            os._exit(4)
        os.close(writing)
        hangs, reported = False, None
        for result in _results(reading, process):
            if result is None:
                hangs = True
                break
            outcome.cases += not result["replayed"]
            outcome.success += result["kind"] == "success"
            outcome.refused += result["kind"] == "refused"
            outcome.lines, outcome.samples = max(outcome.lines, result["lines"]), result["samples"]
            reported = result
        os.close(reading)
        _, status = os.waitpid(process, 0)
        if status == 0:
            return outcome
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == _ANEW and time.monotonic() < end:
            part += 1
            continue
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 3 and reported:
            kind, what = reported["kind"], reported["what"]
        elif hangs:
            kind, what = "hang", f"no end within {_SILENT:.0f} s"
        elif os.WIFSIGNALED(status):
            kind, what = "crash", signal.Signals(os.WTERMSIG(status)).name
        else:
            kind, what = "harness", f"exit status {os.WEXITSTATUS(status)}"
        place = findings / f"{name}-{seed}-{len(list(findings.glob('*')))}"
        if not any(known[:2] == (kind, what) for known in outcome.findings):
            if (state / "case").exists():
                shutil.copytree(state / "case", place, dirs_exist_ok=True)
            outcome.findings.append((kind, what, str(place)))
        part += 1
        if time.monotonic() > end or outcome.cases >= cases or kind == "harness" or len(outcome.findings) > 50:
            return outcome


def population(state: pathlib.Path) -> list[Files]:
    """The samples that reached new lines."""
    path = state / "population"
    return pickle.loads(path.read_bytes()) if path.exists() else []


def smallest_cover(name: str, kept: list[Files], cases: list[Files], most: int) -> list[Files]:
    """Few small cases that together run as many lines as all do, beyond those that the sample and `kept` run."""
    target, lines = TARGETS[name], _Lines()

    def run_lines(files: Files) -> set[tuple[str, int]]:
        with tempfile.TemporaryDirectory() as folder:
            write(files, pathlib.Path(folder) / "case")
            lines.clear()
            sys.settrace(lines.trace)
            try:
                target.read(pathlib.Path(folder) / "case")
            except InputError:
                pass
            finally:
                sys.settrace(None)
            return lines.taken()

    covered, chosen = set().union(*map(run_lines, [target.make(), *kept])), []
    waiting = sorted(((files, run_lines(files)) for files in cases), key=lambda item: sum(map(len, item[0].values())))
    while waiting and len(chosen) < most:
        best = max(waiting, key=lambda item: len(item[1] - covered))
        if not best[1] - covered:
            break
        chosen.append(best[0])
        covered |= best[1]
        waiting.remove(best)
    return chosen
