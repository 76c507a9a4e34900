"""The sections of benchmark.py, one file each.

May import everything except commands.
"""
