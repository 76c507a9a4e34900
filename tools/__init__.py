"""What both networks and the data layer share, and commands over all of it.

A file here is a command, a folder is a library; libraries import no other package, but for benchmarks.
"""
