"""A SavedModel behind the JSON of TensorFlow Serving, and clients that measure such a server.

May import tools.cli and tools.files.
"""
