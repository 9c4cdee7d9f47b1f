"""Publishing into a store or a directory: content is staged first, and a switch then gives the files their final names."""
