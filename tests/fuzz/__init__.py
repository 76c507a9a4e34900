"""Fuzzing of every reader of files that others wrote: `python -m tests.fuzz --seconds=600 --parser=coco`.

A case is a small sound file that a structure-aware mutator has changed (`mutators`: values of a JSON tree, dimensions
of an .npy header, instructions of a pickle, fields of a protocol buffer, ...). `targets` has a sample and a reader for
each format. Cases that reach new lines of the reader become samples themselves. A reader may do one of two things:
succeed, or raise `InputError`; anything else (another exception, the end of the process, a hang, hundreds of megabytes)
is a finding, whose files are kept. What was a finding once lies in tests/data/fuzz, with few small cases that reach
what the samples do not, and is tried again by every run.
"""
