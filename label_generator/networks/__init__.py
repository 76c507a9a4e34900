"""The networks as Keras models, their normalisation, and their weights folders.

May import stages and tools.
"""
