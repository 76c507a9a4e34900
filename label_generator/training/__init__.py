"""Training (train.py): data, virtual views, losses and training loops of the published and the canonical recipe.

May import lifting, networks, stages, tfrecords and tools.
"""
