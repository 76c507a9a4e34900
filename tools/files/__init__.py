"""Folders and weights that are written whole or not at all.

May import tools.cli.
"""
