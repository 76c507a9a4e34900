"""Pictures of people: decoding, cropping, augmentation and person detection.

May import tfrecords and tools.
"""
