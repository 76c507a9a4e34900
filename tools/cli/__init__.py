"""How commands run: flags, help, one-line errors, exit status, progress.

May import nothing of the project.
"""
