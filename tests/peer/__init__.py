"""Comparison of items with those of the real LeRobotDataset, in an environment of its own: `make peer-lerobot PEER=...`."""
