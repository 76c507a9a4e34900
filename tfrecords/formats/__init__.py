"""File formats, without knowing what is in them: arrays, .mat, BVH, restricted pickles, pictures.

May import source and tools.
"""
