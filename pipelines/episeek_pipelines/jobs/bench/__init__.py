"""The benchmark of a training loop's reading: what is measured, on one rank or many, and the report of it."""
