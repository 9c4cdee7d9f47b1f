"""The settings of a verification: configuration files, policies (which rules count) and baselines (accepted findings)."""
