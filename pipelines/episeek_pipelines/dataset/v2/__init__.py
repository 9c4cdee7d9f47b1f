"""Datasets of LeRobot v2.0 and v2.1, seen as what they are in version 3.0: the same files with other metadata."""
