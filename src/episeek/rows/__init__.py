"""Read the rows of a dataset, which hold all values of its frames except videos, one episode at a time, and its metadata."""

from episeek.rows.dataset_rows import DatasetRows

__all__ = ["DatasetRows"]
