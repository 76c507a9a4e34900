"""Readers of file formats, independent of any data set: arrays, .mat, BVH, restricted pickles, pictures.

May import source and tools.
"""
