"""Video files: headers of MP4 and Matroska, sync samples, and the frames of each episode."""
