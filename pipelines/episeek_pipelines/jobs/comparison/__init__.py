"""The job that compares two datasets, and the formats of its result."""
