"""Export (export.py) to SavedModel and TFLite, with quantisation and a comparison with the Keras model.

May import evaluation, images, network, prediction, tfrecords and tools.
"""
