"""Settings of a verification: configuration files, policies and baselines."""
