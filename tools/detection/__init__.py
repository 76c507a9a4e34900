"""People and their key points in photographs and videos, with identities.

May import tools.cli, tools.files and tools.pose. Here because both networks use it.
"""
