"""A kinematic model of people: bodies, activities, poses, and cameras around them.

May import conversion and tools.
"""
