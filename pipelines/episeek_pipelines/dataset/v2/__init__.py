"""Show datasets of LeRobot v2.0 and v2.1 as datasets of version 3.0: the same files with converted metadata."""
