"""Inference from 2D to 3D poses: camera views, the two networks in sequence, geometric search, refinement, quality.

May import networks, stages and tools.
"""
