"""The files of an overlay, the changes that its publication makes, and the checks before and after the publication.

An overlay is the output of `episeek prepare`: the new data files, metadata and sidecars of a dataset, with or without its videos.
"""
