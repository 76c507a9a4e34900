"""The baseline network: an image in, a 3D pose out."""
