"""Rules on meta/episodes and the files that it names."""
