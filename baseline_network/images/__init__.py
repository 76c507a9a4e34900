"""Pictures of people: reading, cropping, augmenting, and finding people in them.

May import tfrecords and tools.
"""
