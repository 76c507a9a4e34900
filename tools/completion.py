"""Print a script that completes the console commands and their flags in bash or zsh.

    pose3d-completion bash > ~/.local/share/bash-completion/completions/pose3d.bash    then: source that file
    source <(pose3d-completion bash)                                                   for one shell
    source <(python tools/completion.py zsh)                                           zsh, after compinit

It completes the commands of the wheel (pose3d-labels, ...), which an editable installation has too.
"""

from __future__ import annotations

import sys

from tools.cli import command
from tools.cli.errors import InputError


def declare() -> command.Flags:
    """The flags of this command."""
    return command.Flags(__doc__, positional="bash|zsh")


def main(flags: command.Flags) -> int:
    """Prints the script."""
    from tools.cli import completion

    if len(flags.arguments) != 1 or flags.arguments[0] not in completion.SHELLS:
        raise InputError(f"name one shell of {', '.join(completion.SHELLS)}, got {' '.join(flags.arguments) or 'none'}")
    text = completion.script(flags.arguments[0])
    print(text, end="")
    flags.report["script"] = text
    return 0


if __name__ == "__main__":
    command.run(main, declare, sys.argv)
