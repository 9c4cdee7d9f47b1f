"""One dataset, on disk or in a store: its root, metadata, staging, provenance and digests."""
