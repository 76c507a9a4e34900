"""The 3D label generator: the published stages in their order, and the chain from 2D poses to 3D labels.

A file here is a command; rooms may import tfrecords and tools, never baseline_network.
"""
