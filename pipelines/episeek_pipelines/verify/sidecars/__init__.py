"""Check the sidecars, the four index tables in `meta/byte_index/`."""
