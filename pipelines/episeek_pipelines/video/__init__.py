"""Headers and frames of video files: MP4 and Matroska, sync samples, and which frames belong to which episode."""
