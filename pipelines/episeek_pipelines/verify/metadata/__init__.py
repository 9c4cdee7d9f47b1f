"""Rules on the documents of a dataset (info.json, tasks, statistics, the card) and on its listing."""
