"""What both train.py share: session, strategies, checkpoints, schedules, precision.

May import tools.cli.
"""
