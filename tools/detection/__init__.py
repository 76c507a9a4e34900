"""People and their key points in photographs and videos, with identities.
It is in tools because both networks use it.

May import tools.cli, tools.files and tools.pose.
"""
