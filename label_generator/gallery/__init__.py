"""The demo (demo.py): built-in example poses, and contact sheets and animations of labels.

May import labelling, lifting, tfrecords and tools.
"""
