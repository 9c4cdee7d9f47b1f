"""What is published: the files of an overlay, what changes, and the checks before and after."""
