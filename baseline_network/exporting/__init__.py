"""What export.py writes: SavedModel and TFLite, quantised and checked against Keras.

May import evaluation, images, network, prediction, tfrecords and tools.
"""
