"""Benchmark the reading of a training loop, on one rank or many, and report the results."""
