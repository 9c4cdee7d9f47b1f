"""State per process, what forked children inherit, and threads that wait for stores."""
