"""Code shared by both train.py: session, devices, checkpoints, schedules, precision.

May import tools.cli.
"""
