"""What the command line prints: pure functions from results to lines."""
