"""Drawn people: body, head, clothes, scene, light, and the rasterizer.
Own renderer of NumPy instead of OpenGL or a body model: no display, no GPU, and no licence of a body model is needed,
and every pixel is the same on every machine.

May import schema and tools.
"""
