"""Videos of two datasets: prints of episodes from sample tables, and the coded samples that differ."""
