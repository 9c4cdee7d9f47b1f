"""Rules on video files: headers, rows of the index tables, and decoded pictures."""
