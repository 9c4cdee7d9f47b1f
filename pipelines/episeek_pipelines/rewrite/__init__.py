"""The rewrite step: write data files with one row group per episode."""
