"""The hourglass, what its outputs mean (targets and decoding), and its folder of weights.

May import images and tools.
"""
