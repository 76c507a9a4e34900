"""What demo.py shows: built-in poses, and sheets and animations of labels.

May import labelling, lifting, tfrecords and tools.
"""
