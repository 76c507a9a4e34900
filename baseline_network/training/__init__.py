"""What train.py runs: batches of pictures, losses, optimiser, figures of an epoch.

May import evaluation, images, network, tfrecords and tools.
"""
