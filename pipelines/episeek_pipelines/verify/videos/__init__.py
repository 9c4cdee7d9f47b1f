"""Rules on video files: headers, spans and decoded pictures."""
