"""The 3D label generator: 2D poses in, 3D labels out."""
