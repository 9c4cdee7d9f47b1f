"""The jobs: prepare, rewrite, index, verify and fix as Dask graphs, and what each of them returns."""
