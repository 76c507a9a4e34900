"""Weights from elsewhere: the released TensorFlow 1 checkpoints and their normalisation statistics.

May import networks, stages, training, tfrecords and tools.
"""
