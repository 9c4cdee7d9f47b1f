"""The alignment of a file's episodes with its frames: the evidence of seconds, lengths and encoders, and its cheapest reading."""
