"""Skeletons on pictures, 3D figures, sheets, animations, plots.

May import tools.cli and tools.pose.
"""
