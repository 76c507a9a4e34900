"""The stacked hourglass, its training targets, the decoding of its outputs, and its weights folder.

May import images and tools.
"""
