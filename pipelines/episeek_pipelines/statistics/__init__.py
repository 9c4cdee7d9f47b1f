"""Statistics of features as LeRobot computes them, for each episode and for the whole dataset."""
