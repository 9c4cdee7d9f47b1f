"""Batches: many datasets prepared by one command, on any number of machines, with a record of the state of each."""
