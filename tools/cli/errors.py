"""The one exception that means: the user's input is at fault, not the program."""


class InputError(ValueError):
    """Bad input: its message is one line that names the file, the record and what was expected.

    Commands print it as ``error: <message>`` and leave with exit status 2.
    """
