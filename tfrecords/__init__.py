"""The data layer: every data set as sharded TFRecords of one pose record."""
