"""Statistics of numeric features, computed from rows as LeRobot computes them: of each episode, and of all episodes."""
