"""The files of an overlay, the changes that publishing it makes, and the checks before and after."""
