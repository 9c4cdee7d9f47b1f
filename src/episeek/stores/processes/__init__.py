"""State that belongs to one process, its protection from forks, and threads that wait for stores."""
