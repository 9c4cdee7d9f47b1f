"""The index step: the four sidecar tables, made from the headers of all video files."""
