"""The jobs (prepare, rewrite, index, verify and fix): their graphs, progress and results."""
