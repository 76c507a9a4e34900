"""One point: a command is run, disturbed, and run again; what came of it is compared with an undisturbed run."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import random
import shutil
import signal
import tempfile
from collections.abc import Iterator
from typing import Any

from tests.faults import processes, small_disks, subjects
from tests.faults.subjects import OUT, Contents, Subject

_SIGNALS = {
    "kill -9": (signal.SIGKILL, -9),
    "SIGTERM": (signal.SIGTERM, 143),
    "SIGINT": (signal.SIGINT, 130),
    "SIGHUP": (signal.SIGHUP, 129),
}
FULL, LIMITED, READ_ONLY = "full disk", "file-size limit", "read-only output"
VANISHES, SHRINKS, CORRUPT, TWO = "input vanishes", "input shrinks", "corrupt shard", "two processes"
# How many of a hundred points.
SHARES = {
    "kill -9": 26, "SIGTERM": 13, "SIGINT": 10, "SIGHUP": 3, FULL: 12, LIMITED: 9, READ_ONLY: 5, VANISHES: 6,
    SHRINKS: 5, CORRUPT: 4, TWO: 7,
}  # fmt: skip
_PAGE = 4096


@dataclasses.dataclass(frozen=True)
class Undisturbed:
    """A run without a fault: what it wrote and what it cost.

    Attributes:
      contents: of the output. operations, cpu_s: see `processes.Ended`.
      peak_bytes: most of the disk that was in use at once. largest_file: the largest file that was there.
      lines: of standard error.
    """

    contents: Contents
    operations: int
    cpu_s: float
    peak_bytes: int
    largest_file: int
    lines: tuple[str, ...]


@dataclasses.dataclass
class Result:
    """What came of a point; all problems empty is what is expected.

    Attributes:
      fault, subject, detail: what was done to what, and where. status: exit status of the disturbed run.
      reached: whether the fault struck before the command was through.
      lost: the command cannot be finished, or something whole is gone. wrong: other results.
      leftovers: files that nobody needs. unclear: other words or another exit status than is documented.
      skipped: why it could not be tried here.
    """

    fault: str
    subject: str
    detail: str = ""
    status: int = 0
    reached: bool = True
    lost: str = ""
    wrong: str = ""
    leftovers: str = ""
    unclear: str = ""
    skipped: str = ""
    output: list[str] = dataclasses.field(default_factory=list)

    @property
    def bad(self) -> bool:
        return bool(self.lost or self.wrong or self.leftovers or self.unclear)


class Laboratory:
    """Folders of a run of the harness: inputs, undisturbed outputs, and a new one for each point."""

    def __init__(self, root: pathlib.Path, names: list[str]):
        self.root, self.names = root, names
        self.inputs = root / "inputs"
        self.undisturbed: dict[str, Undisturbed] = {}
        self.can_mount = small_disks.can_mount(root)

    def prepare(self, progress: Any = print) -> None:
        """Makes inputs and undisturbed runs, unless they lie there from an earlier run of the same code."""
        ordered = subjects.in_order(self.names)
        wanted = {name for subject in ordered for name in subject.inputs if "=" not in name}
        missing = sorted(name for name in wanted if not (self.inputs / name).exists())
        if missing:
            self.inputs.mkdir(exist_ok=True)
            pid = os.fork()
            if pid == 0:
                try:
                    subjects.prepare(self.inputs, missing)
                    os._exit(0)
                except BaseException as error:
                    progress(repr(error))
                    os._exit(1)
            if os.waitpid(pid, 0)[1]:
                shutil.rmtree(self.inputs)
                raise RuntimeError("the inputs could not be made")
        for subject in ordered:
            self.undisturbed[subject.name] = self._undisturbed(subject, progress)

    def _undisturbed(self, subject: Subject, progress: Any) -> Undisturbed:
        place = self.root / "undisturbed" / subject.name.replace(" ", "_")
        known = place.with_suffix(".json")
        if known.exists():
            return Undisturbed(**json.loads(known.read_text()))
        peak, largest = 0, 0
        with self.folder(subject, place) as folder:
            before = _inputs_state(folder)

            def watch() -> None:
                nonlocal peak, largest
                sizes = _sizes(folder / "disk")
                peak = max(peak, sum(-(-size // _PAGE) * _PAGE for size in sizes))
                largest = max(largest, *sizes, 0)

            ended = processes.Process(subject.words, str(folder)).wait(watch=watch)
            if ended.status:
                raise RuntimeError(f"{subject.name}: {ended.status} {ended.errors} {ended.out}")
            assert _inputs_state(folder) == before, f"{subject.name} changed its input"
            watch()
            contents = read(subject, folder / OUT)
            left = _left_behind(folder)
            assert not left, f"{subject.name}: an undisturbed run leaves {left}"
            shutil.rmtree(self.root / "outputs" / subject.name, ignore_errors=True)
            shutil.copytree(folder / OUT, self.root / "outputs" / subject.name)
        result = Undisturbed(contents, ended.operations, ended.cpu_s, peak, largest, tuple(ended.errors))
        known.parent.mkdir(parents=True, exist_ok=True)
        known.write_text(json.dumps(dataclasses.asdict(result)))
        progress(f"undisturbed: {subject.name}: {ended.operations} operations, {ended.cpu_s:.1f} s, {peak:,} bytes")
        return result

    @contextlib.contextmanager
    def folder(self, subject: Subject, place: pathlib.Path | None = None) -> Iterator[pathlib.Path]:
        """A working folder with the inputs, removed afterwards."""
        folder = place or pathlib.Path(tempfile.mkdtemp(prefix="point-", dir=self.root))
        processes.fresh(str(folder))
        for name in ("in", "tmp", "disk"):
            (folder / name).mkdir()
        for text in subject.inputs:
            name, _, other = text.partition("=")
            source = self.inputs / name
            if other:
                source = subjects.export_folder(self.root / "outputs" / other.partition(":")[0])
            if source.is_dir():
                shutil.copytree(source, folder / "in" / name)
            else:
                shutil.copy2(source, folder / "in" / name)
        try:
            yield folder
        finally:
            small_disks.unmount(folder / "disk")
            shutil.rmtree(folder, ignore_errors=True)

    def point(self, subject: Subject, fault: str, rng: random.Random) -> Result:
        """Injects one fault and says what came of it."""
        result = Result(fault, subject.name)
        with self.folder(subject) as folder:
            try:
                _Point(self, subject, folder, rng, result).run()
            except TimeoutError as error:
                result.unclear = f"hangs: {error}"
        return result


class _Point:
    """One point under way."""

    def __init__(self, laboratory: Laboratory, subject: Subject, folder: pathlib.Path, rng: Any, result: Result):
        self._laboratory, self._subject, self._folder = laboratory, subject, folder
        self._rng, self._result = rng, result
        self._usual = laboratory.undisturbed[subject.name]
        self._words = list(subject.words)

    def run(self) -> None:
        rng, result, fault = self._rng, self._result, self._result.fault
        if fault == CORRUPT and not self._subject.shards:
            result.skipped = "reads no records"
            return
        if fault in (FULL, READ_ONLY) and not self._laboratory.can_mount:
            result.skipped = "no permission to mount a small file system"
            return
        if self._subject.overwrites and fault not in (TWO,) and rng.random() < 0.25:
            shutil.copytree(self._laboratory.root / "outputs" / self._subject.name, self._folder / OUT)
            self._words.append("--overwrite")
            result.detail += "over an older output, "
        getattr(self, "_" + {
            FULL: "full", LIMITED: "limited", READ_ONLY: "read_only", VANISHES: "spoilt_input", SHRINKS: "spoilt_input",
            CORRUPT: "corrupt", TWO: "two",
        }.get(fault, "signal"))()  # fmt: skip

    # The faults.

    def _signal(self) -> None:
        number, status = _SIGNALS[self._result.fault]
        ended = self._disturbed(lambda pid: os.kill(pid, number))
        if ended.reached and ended.status == status:
            if number != signal.SIGKILL:
                self._expect_one_line(ended)
        elif ended.status:
            self._unclear(f"status {ended.status}, expected {status}", ended)
        self._finish()

    def _full(self) -> None:
        room = self._rng.randrange(1, max(self._usual.peak_bytes // _PAGE, 1) + 1)
        kept = sum(-(-path.stat().st_size // _PAGE) for path in _files(self._folder / OUT))
        self._result.detail += f"{room} pages free"
        small_disks.mount(self._folder / "disk", (room + kept) * _PAGE)
        ended = processes.run(self._words, str(self._folder))
        self._expect_error(ended)
        small_disks.remount(self._folder / "disk", "size=256m")
        self._finish()

    def _limited(self) -> None:
        limit = int(self._rng.random() ** 2 * self._usual.largest_file)
        self._result.detail += f"files of {limit:,} bytes"
        self._expect_error(processes.run(self._words, str(self._folder), file_limit=limit))
        self._finish()

    def _read_only(self) -> None:
        if self._rng.random() < 0.5:
            self._result.detail += "after a kill, "
            ended = self._disturbed(lambda pid: os.kill(pid, signal.SIGKILL))
            if not ended.reached or ended.status != -9:
                self._finish()
                return
        small_disks.mount(self._folder / "disk", 256 << 20)
        small_disks.remount(self._folder / "disk", "ro")
        ended = processes.run(self._words, str(self._folder))
        if not ended.status:
            self._unclear("wrote to a read-only file system", ended)
        self._expect_error(ended)
        small_disks.remount(self._folder / "disk", "rw")
        self._finish()

    def _spoilt_input(self) -> None:
        victim = self._rng.choice(sorted(self._folder.glob(self._subject.victims)))
        before, size = victim.stat(), victim.stat().st_size
        kept = self._folder / "kept"
        shutil.copy2(victim, kept)
        self._result.detail += f"{victim.relative_to(self._folder)}, "
        if self._result.fault == VANISHES:
            ended = self._disturbed(lambda _: victim.unlink())
        else:
            length = self._rng.randrange(size)
            ended = self._disturbed(lambda _: os.truncate(victim, length))
        self._expect_error(ended)
        if ended.reached:
            shutil.copy2(kept, victim)
            os.utime(victim, ns=(before.st_atime_ns, before.st_mtime_ns))
        if not ended.status and "skipped" in ended.out and "--overwrite" not in self._words:
            # Pictures that can't be read are left out and counted, so the result is another one.
            self._words.append("--overwrite")
        self._finish(left_out="skipped" in ended.out)

    def _corrupt(self) -> None:
        shard = self._rng.choice(sorted(self._folder.glob(self._subject.shards)))
        data, before = bytearray(shard.read_bytes()), shard.stat()
        at = self._rng.randrange(len(data))
        whole = bytes(data)
        data[at] ^= 1 << self._rng.randrange(8)
        shard.write_bytes(data)
        os.utime(shard, ns=(before.st_atime_ns, before.st_mtime_ns))
        self._result.detail += f"{shard.name} byte {at}"
        ended = processes.run(self._words, str(self._folder))
        if not ended.status:
            self._result.wrong = "damage was not noticed"
        self._expect_error(ended)
        if ended.status == 2 and shard.name not in " ".join(ended.errors):
            self._unclear("the damaged shard is not named", ended)
        shard.write_bytes(whole)
        os.utime(shard, ns=(before.st_atime_ns, before.st_mtime_ns))
        self._finish()

    def _two(self) -> None:
        second: list[processes.Process] = []
        fraction = self._rng.uniform(0, 0.8)
        self._result.detail += f"the second at {fraction:.2f} of the time"
        first = processes.Process(self._words, str(self._folder))
        one = first.wait(
            fraction * self._usual.cpu_s, lambda _: second.append(processes.Process(self._words, str(self._folder)))
        )
        both = [one, *(process.wait() for process in second)]
        self._result.reached = bool(second)
        for ended in both:
            self._expect_error(ended)
        if all(ended.status for ended in both):
            self._unclear("neither of the two was done", both[-1])
        self._finish()

    # How a run is disturbed and what is expected of it.

    def _disturbed(self, action: Any) -> processes.Ended:
        """Runs the command; `action` is called at a random operation on files or after a random share of its time."""
        clock = self._rng.random()
        if clock < 0.6:
            number = self._rng.randrange(1, self._usual.operations + 1)
            self._result.detail += f"before operation {number} of {self._usual.operations}"
            ended = processes.run(self._words, str(self._folder), at_operation=number, action=action)
        else:
            share = self._rng.uniform(0, 1.02)
            self._result.detail += f"at {share:.2f} of the time"
            process = processes.Process(self._words, str(self._folder))
            ended = process.wait(share * self._usual.cpu_s, action)
        self._result.reached, self._result.status = ended.reached, ended.status
        return ended

    def _unclear(self, text: str, ended: processes.Ended) -> None:
        self._result.unclear = "; ".join(filter(None, (self._result.unclear, text)))
        self._result.output += [f"status {ended.status}", *ended.out.splitlines()[-5:], *ended.errors[-30:]]

    def _own_lines(self, ended: processes.Ended) -> list[str]:
        return [line for line in ended.errors if line not in self._usual.lines]

    def _expect_one_line(self, ended: processes.Ended) -> None:
        if len(self._own_lines(ended)) != 1:
            self._unclear(f"{len(self._own_lines(ended))} lines, expected 1", ended)

    def _expect_error(self, ended: processes.Ended) -> None:
        """Success, or status 2 with one line 'error: ...' that no exception wrote which nobody foresaw."""
        self._result.status = ended.status
        lines = self._own_lines(ended)
        if ended.status not in (0, 2):
            self._unclear(f"status {ended.status}, expected 2", ended)
        elif ended.status == 2 and (len(lines) != 1 or not lines[0].startswith("error: ")):
            self._unclear(f"{len(lines)} lines, expected 1", ended)
        elif ended.status == 2 and "POSE3D_TRACEBACK" in lines[0]:
            self._unclear("an exception that nobody foresaw", ended)

    def _finish(self, left_out: bool = False) -> None:
        """Runs the command to its end and compares.

        Args:
          left_out: the disturbed run said that it left something out, so what it wrote differs.
        """
        out, result = self._folder / OUT, self._result
        if not left_out:
            self._check_whole(out)
        steps = _last_step(out) if self._subject.trains else 0
        resumed = not self._complete(out) or "--overwrite" in self._words
        if resumed:
            ended = processes.run(self._words, str(self._folder))
            if ended.status and not (ended.status == 2 and self._complete(out)):  # it refuses to replace what is whole
                result.lost = f"can't be finished: status {ended.status}"
                result.output += [*ended.out.splitlines()[-5:], *ended.errors[-30:]]
                return
            if steps and f"step {steps:,}" not in ended.out:
                result.lost = f"the checkpoint of step {steps} was not gone on from"
                result.output += ended.out.splitlines()[:5]
        contents = read(self._subject, out)
        if contents != self._usual.contents:
            names = sorted(contents.keys() ^ self._usual.contents.keys())
            differing = [n for n in contents if n in self._usual.contents and contents[n] != self._usual.contents[n]]
            if differing or set(names) - set(contents):
                result.wrong = f"differs in {differing[:5]}, lacks {sorted(set(names) - set(contents))[:5]}"
            if set(names) & set(contents):
                result.leftovers = f"{sorted(set(names) & set(contents))[:5]}"
        # Who is killed can't tidy up; the next command does.
        left = _left_behind(self._folder, resumed or result.fault not in ("kill -9", READ_ONLY))
        if left:
            result.leftovers = f"{result.leftovers} {left}".strip()

    def _complete(self, out: pathlib.Path) -> bool:
        """Whether the disturbed run came to its end, as it may have before a signal came."""
        return out.exists() and read(self._subject, out) == self._usual.contents

    def _check_whole(self, out: pathlib.Path) -> None:
        """What lies under its final name must be whole, of this run or of the older output."""
        if self._subject.trains or not out.exists():
            return
        there = read(self._subject, out)
        for name, content in self._usual.contents.items():
            if there.get(name, content) != content:
                self._result.wrong = f"{name} is half-written after the fault"
        if "over an older output" in self._result.detail and self._subject.name.startswith("export"):
            missing = [name for name in self._usual.contents if name not in there]
            if missing:
                self._result.lost = f"of the older output {missing[:3]} is gone"


def read(subject: Subject, out: pathlib.Path) -> Contents:
    """What of an output must be the same; TensorFlow's own readers start threads, so it is read in a child."""
    if not subject.trains:
        return subject.contents(out)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            data = json.dumps(subject.contents(out)).encode()
            with os.fdopen(writing, "wb") as file:
                file.write(data)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        data = file.read()
    if os.waitpid(pid, 0)[1]:
        return {"unreadable": str(out)}
    return json.loads(data)


def _last_step(out: pathlib.Path) -> int:
    """Of the last whole checkpoint, of an epoch or in the middle of one."""
    return max((int(path.stem.rsplit("-", 1)[1]) for path in out.rglob("*-*.index")), default=0)


def _sizes(folder: pathlib.Path) -> list[int]:
    """Bytes of the files under a folder that a command is writing to: what it renames meanwhile is left out."""
    sizes = []
    for path in _files(folder):
        with contextlib.suppress(FileNotFoundError):
            sizes.append(path.lstat().st_size)
    return sizes


def _files(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    for root, _, names in os.walk(folder):
        for name in names:
            path = pathlib.Path(root, name)
            if path.exists():
                yield path


def _left_behind(folder: pathlib.Path, tidied: bool = True) -> list[str]:
    """Hidden and temporary names beside the output, and, where it was tidied, in the folder for temporary files."""
    found = [path.relative_to(folder).as_posix() for path in (folder / "disk").iterdir() if path.name != "out"]
    if tidied:
        found += [path.relative_to(folder).as_posix() for path in (folder / "tmp").iterdir()]
    return found


def _inputs_state(folder: pathlib.Path) -> list:
    return sorted((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in _files(folder / "in"))
