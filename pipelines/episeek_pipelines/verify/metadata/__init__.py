"""Rules on the documents of a dataset (meta/info.json, tasks, statistics, the dataset card) and on the listing of its files."""
