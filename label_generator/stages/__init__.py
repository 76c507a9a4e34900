"""One file per published stage: what goes in, what comes out, in which order and units, and what is reported.

May import tfrecords and tools; no other room of this package.
"""
