"""The data layer. Its interface: schema (features of a record), source (base class), writer, reader, sources.

May import tools.
"""
