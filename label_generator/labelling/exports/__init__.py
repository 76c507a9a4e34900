"""Labels in the formats of other tools, one file a format, all made from the columns of finished labels."""
