"""Atomic writes of files and folders, checksums, archives, weights folders, review decisions.

May import tools.cli.
"""
