"""Import of Zhou et al.'s PyTorch checkpoints.

May import network and tools.
"""
