"""Parquet files: footers, row groups, columns and exact values, local or in a store."""
