"""Comparison of items with those of the real LeRobotDataset, installed in an environment of its own: `make peer-lerobot PEER=...`."""
