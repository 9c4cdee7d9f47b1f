"""State per process, threads that wait for stores, and calls that are made once."""
