"""The jobs, such as prepare, index and verify: their graphs, progress and results."""
