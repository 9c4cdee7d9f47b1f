"""The rows of a dataset: the values of its frames beside the pictures, one episode at a time, and its metadata."""

from episeek.rows.dataset_rows import DatasetRows

__all__ = ["DatasetRows"]
