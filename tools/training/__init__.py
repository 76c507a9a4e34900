"""What both training commands share: strategies, callbacks, checkpoints."""
