"""The stages of the paper, one file each: inputs, outputs, order of the rows, sizes and what is reported.

May import tfrecords and tools; no other room of this package.
"""
