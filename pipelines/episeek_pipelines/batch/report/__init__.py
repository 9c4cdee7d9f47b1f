"""The report of a batch: one HTML page over all datasets."""
