"""What evaluate.py measures on records with known poses.

May import images, network, prediction, tfrecords and tools.
"""
