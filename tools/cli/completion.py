"""Completion of the console commands in bash and zsh, written from their flags."""

from __future__ import annotations

import importlib
import re
import shlex
import textwrap

from tools.cli import console
from tools.cli.command import FlagDescription

SHELLS = ("bash", "zsh")
_NUMBERS = ("int", "float")

_BASH = """\
# Completion of {names} in bash.
_pose3d_flags() {{
    case $1 in
{flags}
    esac
}}
_pose3d_values() {{
    case "$1 $2" in
{values}
    esac
}}
_pose3d() {{
    local name="${{1##*/}}" current="${{COMP_WORDS[COMP_CWORD]}}" flag="" words=""
    # bash takes the equals sign for a word of its own
    if [[ $current == "=" ]]; then
        flag="${{COMP_WORDS[COMP_CWORD-1]}}" current=""
    elif (( COMP_CWORD > 1 )) && [[ ${{COMP_WORDS[COMP_CWORD-1]}} == "=" ]]; then
        flag="${{COMP_WORDS[COMP_CWORD-2]}}"
    fi
    if [[ -n $flag ]]; then
        words="$(_pose3d_values "$name" "$flag")"
    elif [[ $current == -* ]]; then
        words="$(_pose3d_flags "$name")"
        compopt -o nospace 2> /dev/null
    fi
    COMPREPLY=()
    if [[ -n $words ]]; then
        while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -W "$words" -- "$current")
    elif [[ -n $flag || $current != -* ]]; then
        while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "$current")
        compopt -o filenames 2> /dev/null
    fi
}}
complete -F _pose3d {names}
"""

_ZSH = """\
#compdef {names}
# Completion of {names} in zsh.
_pose3d() {{
    case $service in
{commands}
    esac
}}
compdef _pose3d {names}
"""


def script(shell: str) -> str:
    """The completion script of a shell, for all commands of `console.COMMANDS`.

    bash and zsh read it with ``source``; the flags are those of this version.
    """
    flags = {name: importlib.import_module(module).declare().described() for name, module in console.COMMANDS.items()}
    return (_bash if shell == "bash" else _zsh)(flags)


def _bash(flags: dict[str, list[FlagDescription]]) -> str:
    of_commands, of_values = [], []
    for name, described in flags.items():
        words = [word for flag in described for word in _words(flag)]
        of_commands.append(f"    {name}) echo {shlex.quote(' '.join([*words, '--flagfile=', '--help']))} ;;")
        for flag in described:
            if flag.choices:
                values = " ".join(choice for choice in flag.choices if choice)
                of_values.append(f"    {shlex.quote(f'{name} --{flag.name}')}) echo {shlex.quote(values)} ;;")
    return _BASH.format(names=" ".join(flags), flags="\n".join(of_commands), values="\n".join(of_values))


def _words(flag: FlagDescription) -> list[str]:
    return [f"--{flag.name}", f"--no{flag.name}"] if flag.boolean else [f"--{flag.name}="]


def _zsh(flags: dict[str, list[FlagDescription]]) -> str:
    commands = []
    for name, described in flags.items():
        lines = [line for flag in described for line in _arguments(flag)]
        lines += ["'--flagfile=[read flags from a file]:file:_files'", "'--help[show the flags]'", "'*:file:_files'"]
        commands.append(f"    {name})\n        _arguments \\\n            " + " \\\n            ".join(lines) + " ;;")
    return _ZSH.format(names=" ".join(flags), commands="\n".join(commands))


def _arguments(flag: FlagDescription) -> list[str]:
    """The flag as zsh's `_arguments` takes it: name, help in brackets, what its value is."""
    first = re.split(r"[;:.] |\(default", flag.help)[0]
    text = textwrap.shorten(re.sub(r"[\[\]:'\\]", " ", first), 70, placeholder=" ...")
    if flag.boolean:
        return [f"'--{name}[{text}]'" for name in (flag.name, f"no{flag.name}")]
    if flag.choices:
        what = f"value:({' '.join(choice for choice in flag.choices if choice)})"
    elif flag.kind in _NUMBERS:
        what = "number:"
    else:
        what = "value:_files"
    return [f"'--{flag.name}=[{text}]:{what}'"]
