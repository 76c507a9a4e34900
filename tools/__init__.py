"""Libraries shared by both networks and the data layer, and commands that concern all of them.

A file here is a command, a folder is a library. Libraries import no other package, except benchmarks and review_page.
"""
