"""Rows of two datasets: columns in one form, fingerprints of episodes, and the rows that differ."""
