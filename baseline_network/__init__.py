"""The baseline network: a picture of a person in, 16 heatmaps and 16 depths out.

A file here is a command; rooms may import tfrecords and tools, never label_generator.
"""
