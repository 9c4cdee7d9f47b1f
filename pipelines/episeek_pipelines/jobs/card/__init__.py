"""The front matter of a dataset card: the pin of its data files, and changes of single keys."""
