"""Import of the released TensorFlow 1 checkpoints and of their normalisation statistics.

May import networks, stages, training, tfrecords and tools.
"""
