"""Parquet files that lost their footer: their row groups found again by page headers, and a new footer written."""
