"""Edit the front matter of a dataset card: restrict the default config to the data files, and change single keys."""
