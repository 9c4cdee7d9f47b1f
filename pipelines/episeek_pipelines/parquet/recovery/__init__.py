"""Recover Parquet files that lost their footer: find the row groups again from page headers, and write a new footer."""
