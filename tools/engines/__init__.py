"""Pieces of work on existing engines: Apache Beam's runners, Apache Spark and Apache Flink.

May import tools.cli.
"""
