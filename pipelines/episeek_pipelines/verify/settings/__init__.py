"""What counts: configuration files, policies and baselines."""
