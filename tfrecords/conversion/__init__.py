"""Code shared by the sources, from data to records: people in pictures, clips of 3D poses, cameras, joint labels.

May import formats, schema, source and tools.
"""
