"""Drawn people: body, head, clothes, scene, light, and the rasterizer.

May import schema and tools.
"""
