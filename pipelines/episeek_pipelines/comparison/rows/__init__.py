"""Rows of two datasets: columns in a comparable form, fingerprints of episodes, and the rows that differ."""
