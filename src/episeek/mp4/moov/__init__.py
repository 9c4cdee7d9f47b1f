"""The parts of a moov box: the video track, its sample tables, its sample descriptions and its edit list."""
