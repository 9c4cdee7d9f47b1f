"""Open and map the sidecar tables, keep copies of them on this machine, and check the videos that they index."""
