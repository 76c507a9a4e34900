"""What train.py runs: data, virtual views, losses and loops of the published and of the canonical recipe.

May import lifting, networks, stages, tfrecords and tools.
"""
