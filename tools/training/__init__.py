"""What both train.py share: strategies, checkpoints, loop, schedules, precision.

May import tools.cli.
"""
