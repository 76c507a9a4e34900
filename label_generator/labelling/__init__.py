"""What generate.py runs: 2D poses of any format in, labels in all output formats out.

May import lifting, networks, tfrecords and tools.
"""
