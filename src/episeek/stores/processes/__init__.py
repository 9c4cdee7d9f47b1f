"""State per process, the effects of forks on it, and threads that wait for stores."""
