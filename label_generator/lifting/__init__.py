"""2D poses in, 3D poses out: camera views, both networks in a chain, geometric search, refinement, quality.

May import networks, stages and tools.
"""
