"""The data layer. Doors: schema (what a record is), source, writer and reader (making and reading records).

May import tools.
"""
