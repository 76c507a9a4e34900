"""3D labels in the formats of other programs, one module a format, from columns of labels; clips made from their rows.

May import formats, conversion, storage, schema, source and tools.
"""
