"""Evaluation of labels (evaluate.py, search_h36m.py): protocols, error metrics, tables and plots.

May import lifting, networks, tfrecords and tools.
"""
