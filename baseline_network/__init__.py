"""The baseline network: a stacked hourglass that predicts 16 heatmaps and 16 depths from a picture of a person.

Files here are commands; their code is in the subpackages, which may import tfrecords and tools, never label_generator.
"""
