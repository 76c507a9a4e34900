"""Pure functions on poses: joint sets, cameras, metrics, drawing."""
