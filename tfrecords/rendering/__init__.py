"""Rendered people for --source=rendered: body, head, clothes, scene, light, and the rasterizer.
The renderer uses NumPy only, instead of OpenGL and a licensed body model: it needs no display and no GPU, and renders
identical pixels on every machine.

May import schema and tools.
"""
