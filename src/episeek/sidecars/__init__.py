"""Open and map the sidecars (the tables of the video index), keep copies of them on this machine, and check the indexed videos."""
