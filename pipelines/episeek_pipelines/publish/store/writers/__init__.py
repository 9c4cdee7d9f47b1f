"""Writing into each kind of store."""
