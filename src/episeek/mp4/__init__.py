"""MP4 files: boxes, sample tables, fragments, edit lists, sample descriptions, and the headers of clips."""
