"""Joint sets, cameras, projections and pose metrics, as functions of arrays.

May import tools.cli.
"""
