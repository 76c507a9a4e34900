"""Prediction (predict.py, demo.py): poses of the people in pictures, result files and drawings.

May import images, network, tfrecords and tools.
"""
