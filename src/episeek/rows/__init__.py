"""Read the metadata of a dataset, and its rows, one episode at a time. Rows contain all values of the frames except videos."""

from episeek.rows.dataset_rows import DatasetRows

__all__ = ["DatasetRows"]
