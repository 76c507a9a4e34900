"""What tools/benchmark.py measures, one module a section; each has `measure(settings) -> list of Row`."""
