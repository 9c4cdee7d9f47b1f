"""The index step: from the header of each MP4 to the four sidecar tables."""
