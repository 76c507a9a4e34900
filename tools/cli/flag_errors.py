"""What is wrong with the value of a flag, in words of the user instead of Python's."""

from __future__ import annotations

from typing import Any

_USUAL_INPUT = "input"  # the flag of the commands that read one thing
_SHOWN = 100  # letters of a value


def message(values: Any, error: BaseException, positional: str = "") -> str:
    """One line for what absl's parser raised: for a bad value, the flag, the value, and what was expected.

    Args:
      values: absl's FlagValues.
      error: what the parser raised.
      positional: what follows the command's flags, as its usage line shows it.
    """
    text = " ".join(str(error).split())
    if positional and text.startswith(f"Unknown command line flag '{_USUAL_INPUT}'"):
        return f"--{_USUAL_INPUT}: no flag of this command, which takes its input without one: {positional}"
    name = text[len("flag --") :].partition("=")[0] if text.startswith("flag --") else ""
    if name not in values:
        return text
    cause = " ".join(str(error.__context__).split())
    value = text.removeprefix(f"flag --{name}=").removesuffix(f": {cause}")
    return f"--{name}={value[:_SHOWN]}: expected {_expected(values[name])}"


def _expected(flag: Any) -> str:
    if flag.boolean:
        return f"true or false (--{flag.name}, --no{flag.name})"
    choices = [choice for choice in getattr(flag.parser, "enum_values", None) or () if choice]
    if choices:
        return f"one of {', '.join(choices)}"
    kind = {"int": "a whole number", "float": "a number"}.get(flag.flag_type(), "another value")
    low, high = (getattr(flag.parser, f"{end}_bound", None) for end in ("lower", "upper"))
    if low is not None and high is not None:
        return f"{kind} of {low:,} to {high:,}"
    if low is not None:
        return f"{kind} of at least {low:,}"
    return kind if high is None else f"{kind} of at most {high:,}"
