"""How commands run: flags, help, one-line errors, exit status, progress.

May import nothing of the project.
"""

from tools.cli import signals

signals.end_quietly_on_interrupt()
