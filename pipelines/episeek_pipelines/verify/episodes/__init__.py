"""Rules on meta/episodes, and on the files that it declares."""
