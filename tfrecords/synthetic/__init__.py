"""A kinematic model of people: bodies, activities, poses, and cameras around them.
Own kinematic model instead of SMPL and motion capture: its poses carry no licence but the project's.

May import conversion and tools.
"""
