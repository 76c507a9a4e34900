"""Joint sets, cameras, projections, metrics: arrays in, arrays out.

May import tools.cli.
"""
