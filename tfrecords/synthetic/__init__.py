"""Synthetic poses for --source=synthetic: a kinematic model of bodies and activities, and cameras around them.
It replaces SMPL and motion capture where no licence other than the project's is wanted.

May import conversion and tools.
"""
