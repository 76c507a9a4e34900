"""The networks as Keras models, their normalisation, and their folders of weights on disk.

May import stages and tools.
"""
