"""Records on disk: encoding, framing, shards, manifest, and the journal from which a conversion resumes (partial).

May import schema, source and tools.
"""
