"""Pieces of work on existing engines: Apache Beam's runners and Apache Spark.

May import tools.cli.
"""
