"""Training (train.py): batches of pictures, losses, optimiser, evaluation after each epoch.

May import evaluation, images, network, tfrecords and tools.
"""
