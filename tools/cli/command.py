"""How every command of the project runs: its flags, its help, its errors, its exit status.

absl does the parsing (types, ``--flagfile``, ``--noname``), with three differences from ``absl.app.run``:

* Every command owns a `Flags` object instead of adding to the process-wide ``flags.FLAGS``, so two commands imported by
  one process never collide.
* Help shows the flags in the order and under the headings in which they were declared, as a researcher meets the
  stages, not sorted by name.
* Bad flags, bad input and full disks end with one line on standard error and exit status 2; control characters in
  names are shown, not obeyed.

A command is a module with ``declare() -> Flags`` and ``main(flags: Flags) -> int``; heavy modules are imported in
``main``, so that ``--help`` costs no more than Python's own start.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import resource
import sys
import textwrap
import threading
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Callable, NamedTuple

from absl import flags as absl_flags

from tools.cli import flag_errors, flag_files, quiet, reports, scratch, signals, terminal
from tools.cli.errors import InputError

BAD_INPUT = 2
INTERRUPTED = 130  # what a shell reports for a process ended by Ctrl-C
_LEAST_MIB = 256  # of address space, without TensorFlow
_PATIENCE_S = 3.0  # with threads that don't end after a signal
_HELP_NAMES = ("--help", "-help", "-h", "--helpshort", "--helpfull", "-?")
_WIDTH = 110
_TRACEBACK = "POSE3D_TRACEBACK"
_LIMITS, _JSON, _DRY_RUN = "input_limits", "json", "dry_run"
_EXIT_STATUS = (
    "exit status: 0 done; 1 the reader of the output closed it; 2 bad flags, bad input or a full disk, with one line "
    "on standard error; 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP"
)
_LARGEST = 10**15  # of numbers: beyond, sizes computed of them are no sizes, nor squares numbers
_LARGEST_FACTOR = 1e6  # of --input_limits; as in `tools.files.limits`, which this room may not import
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep


class FlagDescription(NamedTuple):
    """A flag for those who show it: its name and help, whether it is on or off, its choices (or none), absl's type."""

    name: str
    help: str
    boolean: bool
    choices: tuple[str, ...]
    kind: str


class Flags:
    """The flags of one command, in declared order.

    Reading ``flags.name`` gives a flag's value once `parse` ran. Declaring methods take ``name, default, help`` and the
    further keyword arguments of their absl ``DEFINE_*`` namesake.

    Attributes:
      arguments: what follows the flags.
      report: what the command found, wrote or measured, by name; ``--json`` prints it. `main` fills it.
    """

    def __init__(self, description: str, positional: str = "", dry_run: bool = False):
        """description: the command's docstring, with examples. positional: what follows the flags, as the usage line
        shows it. dry_run: the command has ``--dry_run``, which its `main` obeys (`tools.cli.plans`)."""
        self._values = absl_flags.FlagValues()
        self._has_dry_run = dry_run
        self._description = textwrap.dedent(description or "").strip()
        self._positional = positional
        self._groups: list[tuple[str, list[str]]] = [("Flags", [])]
        self.arguments: list[str] = []
        self.report: dict[str, Any] = {}
        absl_flags.DEFINE_boolean(
            _JSON, False, "print a report in JSON on standard output, and all else on standard error",
            flag_values=self._values,
        )  # fmt: skip
        if dry_run:
            absl_flags.DEFINE_boolean(
                _DRY_RUN, False, "check flags and input, say what would be read and written, and write nothing",
                flag_values=self._values,
            )  # fmt: skip
        absl_flags.DEFINE_float(
            _LIMITS, 1.0, "multiply what readers take from one file", lower_bound=0.0, upper_bound=_LARGEST_FACTOR,
            flag_values=self._values,
        )  # fmt: skip

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return getattr(self._values, name)
        except absl_flags.Error as error:
            raise AttributeError(str(error)) from error

    @contextlib.contextmanager
    def group(self, title: str) -> Iterator[None]:
        """Everything declared inside is shown under `title` in the help."""
        self._groups.append((title, []))
        yield
        self._groups.append(("More flags", []))

    def _declare(self, define: Callable, name: str, *arguments: Any, **keywords: Any) -> None:
        define(name, *arguments, flag_values=self._values, **keywords)
        self._groups[-1][1].append(name)

    def string(self, name: str, default: Any, help: str, **keywords: Any) -> None:
        """Declares a flag that takes a text."""
        self._declare(absl_flags.DEFINE_string, name, default, help, **keywords)

    def integer(self, name: str, default: Any, help: str, **keywords: Any) -> None:
        """Declares a flag that takes a whole number (lower_bound, upper_bound)."""
        self._declare(absl_flags.DEFINE_integer, name, default, help, **keywords)

    def float(self, name: str, default: Any, help: str, **keywords: Any) -> None:
        """Declares a flag that takes a real number (lower_bound, upper_bound)."""
        self._declare(absl_flags.DEFINE_float, name, default, help, **keywords)

    def boolean(self, name: str, default: Any, help: str, **keywords: Any) -> None:
        """Declares a flag that is on or off (``--name``, ``--noname``)."""
        self._declare(absl_flags.DEFINE_boolean, name, default, help, **keywords)

    def enum(self, name: str, default: Any, choices: Iterable[str], help: str, **keywords: Any) -> None:
        """Declares a flag that takes one of `choices`."""
        self._declare(absl_flags.DEFINE_enum, name, default, list(choices), help, **keywords)

    def strings(self, name: str, default: Any, help: str, **keywords: Any) -> None:
        """Declares a flag that takes texts separated by commas."""
        self._declare(absl_flags.DEFINE_list, name, default, help, **keywords)

    def multi_string(self, name: str, default: Any, help: str, **keywords: Any) -> None:
        """Declares a flag that may be given several times."""
        self._declare(absl_flags.DEFINE_multi_string, name, default, help, **keywords)

    def require(self, *names: str) -> None:
        """Raises `InputError` unless each of the named flags was given a value."""
        missing = [f"--{name}" for name in names if getattr(self, name) in (None, "", [])]
        if missing:
            raise InputError(f"{', '.join(missing)} must be given (see --help)")

    def given(self, name: str) -> bool:
        """Whether the user gave the flag, on the command line or in a flagfile."""
        return bool(self._values[name].present)

    def parse(self, argv: Sequence[str]) -> Flags:
        """Reads ``argv`` (program name first). Raises `InputError` on a flag that is unknown or has a bad value."""
        for argument in argv[1:]:
            name, _, path = argument.lstrip("-").partition("=")
            if argument.startswith("-") and name == "flagfile":
                flag_files.check(path)
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                rest = self._values(list(argv))[1:]
        except UnicodeDecodeError as error:
            raise InputError("a flagfile within the flagfile is not text") from error
        except (absl_flags.Error, ValueError) as error:  # the latter for --noflip=3
            raise InputError(f"{flag_errors.message(self._values, error, self._positional)} (see --help)") from error
        if said.getvalue():  # that a flagfile names itself
            raise InputError(f"a flagfile names itself, directly or through others: {said.getvalue().split()[-1]}")
        for name, value in {**self.as_dict(), _LIMITS: getattr(self, _LIMITS)}.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise InputError(f"--{name}={value}: expected a number that is finite")
            if isinstance(value, (int, float)) and abs(value) > _LARGEST:
                raise InputError(f"--{name}={str(value)[:40]}: expected a number of at most {_LARGEST:,}")
            texts = [value] if isinstance(value, str) else value if isinstance(value, list) else []
            if any("\0" in text for text in texts):
                raise InputError(f"--{name}: has a NUL character")
            if any(text.startswith("~") for text in texts):
                homes = list(map(flag_files.at_home, texts))
                self._values[name].value = homes if isinstance(value, list) else homes[0]
        if rest and not self._positional:
            raise InputError(f"unexpected argument '{rest[0]}' (see --help)")
        self.arguments = rest
        if self._values[_LIMITS].present:
            # Read by `tools.files.limits` here and in worker processes.
            os.environ["POSE3D_INPUT_LIMITS"] = repr(getattr(self, _LIMITS))
        return self

    def as_dict(self) -> dict:
        """name -> value of every flag, in declared order."""
        return {name: getattr(self, name) for _, names in self._groups for name in names}

    def help(self, program: str) -> str:
        """The help text: description, usage, then the flags by group in declared order."""
        lines = [self._description, "", f"usage: {program} [flags] {self._positional}".rstrip()]
        for title, names in self._groups:
            if not names:
                continue
            lines += ["", f"{title}:"]
            for name in names:
                lines += self._help_of(name)
        lines += ["", "Any command:"]
        lines += self._help_of(_DRY_RUN) if self._has_dry_run else []
        lines += self._help_of(_JSON)
        lines += ["  --flagfile=FILE", "      read flags from FILE, one a line"]
        lines += [
            "  --input_limits=FACTOR",
            "      multiply what readers take from one file (default: 1.0)",
            "  --help",
            "",
            *textwrap.wrap(_EXIT_STATUS, _WIDTH),
        ]
        return "\n".join(lines)

    def described(self) -> list[FlagDescription]:
        """Every flag, in declared order."""
        names = [name for _, group in self._groups for name in group]
        described = []
        for name in [*names, *([_DRY_RUN] if self._has_dry_run else []), _JSON, _LIMITS]:
            flag = self._values[name]
            values = tuple(getattr(flag.parser, "enum_values", None) or ())
            described.append(FlagDescription(name, _help_text(flag), bool(flag.boolean), values, flag.flag_type()))
        return described

    def _help_of(self, name: str) -> list[str]:
        flag = self._values[name]
        if flag.boolean:
            head = f"--[no]{name}"
        else:
            values = getattr(flag.parser, "enum_values", None)
            kind = "|".join(filter(None, values)) if values else _kind_text(flag)
            head = f"--{name}={kind}"
        text = _help_text(flag)
        if flag.default not in (None, "", []) and "(default: " not in text:  # which is said where it is no one value
            text += f" (default: {_default_text(flag)})"
        wrapped = textwrap.wrap(text, _WIDTH - 6)
        return [f"  {head}"] + [f"      {line}" for line in wrapped]


def _help_text(flag: Any) -> str:
    text = " ".join((flag.help or "").split())
    # absl puts the choices of an enum before its help.
    return text.partition(">: ")[2] if getattr(flag.parser, "enum_values", None) else text


def _kind_text(flag: Any) -> str:
    kind = flag.flag_type().replace("multi ", "")
    return "A,B,..." if kind.startswith("comma separated") else kind.upper()


def _default_text(flag: Any) -> str:
    if flag.boolean:
        return "on" if flag.default else "off"
    if isinstance(flag.default, (list, tuple)):
        return ",".join(str(item) for item in flag.default)
    return str(flag.default)


def _shows_tracebacks() -> bool:
    return os.environ.get(_TRACEBACK, "0") not in ("", "0")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def run(main: Callable[[Flags], int], declare: Callable[[], Flags], argv: Sequence[str] | None = None) -> None:
    """Parses the flags, calls ``main(flags)`` and ends the process with its exit status.

    Exit status: what `main` returned; 2 after bad flags, `InputError`, or anything else that reading input or writing
    output raised, with one line on standard error; 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.

    An exception that no reader foresaw ends in one line too, since a damaged file is its usual cause;
    ``POSE3D_TRACEBACK=1`` shows where it comes from.
    """
    started = argv is None or argv is sys.argv  # as a process of its own, not called by another program
    argv = list(sys.argv if argv is None else argv)
    asks_help = any(argument in _HELP_NAMES for argument in argv[1:])
    flags = declare()
    program = argv[0]
    if argv[0].endswith(".py"):
        with contextlib.suppress(OSError):  # the current folder is gone
            program = f"python {os.path.relpath(argv[0])}"
    # TensorFlow's C++ notices say nothing to the user of a command (among them, as errors, that CUDA's plug-ins are
    # registered twice); what goes wrong is raised as a Python exception all the same. Some it prints at any level.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    # At the first start on a GPU that is newer than TensorFlow's build, its kernels are compiled. CUDA keeps them for
    # the next, by default not all of them: this is the most that it allows.
    os.environ.setdefault("CUDA_CACHE_MAXSIZE", str(2**32))
    if started:
        terminal.open_closed_streams()
    if started and not asks_help:
        scratch.begin()
        quiet.quiet_notices()
        if not _shows_tracebacks():
            # What goes wrong in finalizers, such as closing a file on a full disk once more, was reported already.
            sys.unraisablehook = lambda unraisable: None
    status, message = 0, ""
    as_json = "--json" in argv[1:]  # until the flags are read
    start = time.monotonic()
    try:
        with _signals_before_errors(), terminal.escaped_output(), signals.raised(), _no_warnings():
            if asks_help:
                print(flags.help(program))
                as_json = False
            else:
                _check_current_folder()
                if started:
                    _check_address_space()
                flags.parse(argv)
                as_json = flags.json
                with reports.prints_on_standard_error(as_json):
                    status = main(flags)
                if as_json and not status:
                    print(_report(program, flags, status, "", start))
            sys.stdout.flush()
    except InputError as error:
        if _shows_tracebacks():
            raise
        message = _one_line(error)
    except BrokenPipeError:
        # The reader of the output has closed it (`... | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        name = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else "input/output"
        message = f"{name}: {error.strerror or _one_line(error)}"
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        _leave(INTERRUPTED, started)
    except signals.Ended as ended:
        print(terminal.printable(f"ended by {ended}; {ended.note}"), file=sys.stderr)
        _leave(ended.status, started)
    except Exception as error:
        if _shows_tracebacks():
            raise
        message = _unforeseen(error)
    if message:
        status = BAD_INPUT
        head = terminal.coloured("error:", terminal.RED, sys.stderr)
        terminal.print_error(f"{head} {terminal.printable(message)}")
    if as_json and status:
        with contextlib.suppress(OSError):  # standard output is what could not be written
            print(_report(program, flags, status, message, start), flush=True)
    if started:
        signals.finishing()
    sys.exit(status)


def _check_current_folder() -> None:
    """Relative names mean nothing in a folder that was removed."""
    try:
        os.getcwd()
    except OSError:
        raise InputError("the current folder does not exist any more; change to one that does") from None


def _check_address_space() -> None:
    """NumPy's OpenBLAS asks for memory for ever where there is not enough to load it, deaf to signals."""
    least, unlimited = _LEAST_MIB << 20, resource.RLIM_INFINITY
    for limit in (resource.getrlimit(resource.RLIMIT_AS)[0], resource.getrlimit(resource.RLIMIT_DATA)[0]):
        if limit != unlimited and limit < least:
            raise InputError(
                f"memory is limited to {limit >> 20} MiB (ulimit -v, -d); expected {_LEAST_MIB} MiB or more"
            )


def _leave(status: int, started: bool) -> None:
    """Ends after a signal, whose exception may have come between the start of a thread and the words that end it."""
    if started:
        last = threading.Timer(_PATIENCE_S, os._exit, (status,))
        last.daemon = True
        last.start()
    sys.exit(status)


def _report(program: str, flags: Flags, status: int, message: str, start: float) -> str:
    """What ``--json`` prints: the command, its exit status, why it failed, and what it reported until then."""
    report = {"command": program, "status": status, **({"error": message} if message else {})}
    return reports.json_text({**report, "seconds": round(time.monotonic() - start, 3), **flags.report})


@contextlib.contextmanager
def _signals_before_errors() -> Iterator[None]:
    """An error after a signal is the signal: TensorFlow turns the exception into one of its own on the way."""
    try:
        yield
    except Exception as error:
        asked = signals.arrived()
        if asked is None:
            raise
        raise asked from error


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    """Warnings of libraries are no messages to the user of a command: NumPy warns of numbers that are refused later."""
    if sys.warnoptions:  # asked for by -W or PYTHONWARNINGS
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _unforeseen(error: BaseException) -> str:
    """One line for an exception that is no `InputError`: what, and the line of this project that it comes from."""
    if isinstance(error, MemoryError):
        return f"more memory is needed than there is ({_one_line(error) or 'MemoryError'})"
    if problem := scratch.problem():  # TensorFlow compiles functions by way of files
        return f"{problem}; set TMPDIR to another folder"
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if os.path.abspath(frame.f_code.co_filename).startswith(_ROOT):
            place = f"{os.path.relpath(frame.f_code.co_filename, _ROOT)}:{line}"
    message = _one_line(error)[:300]
    return f"{type(error).__name__}: {message} (at {place}; {_TRACEBACK}=1 shows the traceback)"
