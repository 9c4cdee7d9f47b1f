"""Videos of two datasets: fingerprints of episodes from sample tables, and the coded samples that differ."""
