"""The report of a batch: one HTML page about all of its datasets."""
