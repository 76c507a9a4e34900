"""Definitions of the stages, one file each: inputs, outputs, row order, normalisation and reported metrics.
left2right and pose3d are the paper's, direct is a single-network baseline; right_view makes left2right's ground truth.

May import tfrecords and tools; no other subpackage of this package.
"""
