"""Align the episodes of a video file with its frames, from the evidence of seconds, lengths and encoders."""
