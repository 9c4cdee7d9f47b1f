"""The corruption matrix: every defect on every sample dataset, alone and in pairs, repaired exactly or refused by name."""
