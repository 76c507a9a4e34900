"""What evaluate.py measures: protocols, errors of labels, tables and plots.

May import lifting, networks, tfrecords and tools.
"""
