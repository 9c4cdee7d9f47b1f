"""Rows of two datasets: columns in one form, prints of episodes, and the rows that differ."""
