"""The rewrite step: data files with one row group per episode."""
