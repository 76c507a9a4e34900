"""Records on disk: encoding, framing, shards, manifest, journals of conversions under way.

May import schema, source and tools.
"""
