"""Evaluation (evaluate.py) on records with known poses: metrics, tables, plots.

May import images, network, prediction, tfrecords and tools.
"""
