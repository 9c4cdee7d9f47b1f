"""Batches: many datasets prepared by one command, on any number of machines, and what became of each."""
