"""Labelling (generate.py): reads 2D poses of every input format, lifts them, writes labels in every output format.

May import lifting, networks, tfrecords and tools.
"""
