"""The comparison step: find the differences between two datasets, called A and B.

It compares metadata, footers, rows, sample tables and coded samples; no picture is decoded. Files with the same identity in
their stores are equal and not read. For other data files, a digest of each column of an episode is compared. For other videos,
the sample tables of each episode are compared, and the coded samples only if the tables do not decide. Differences of contents are
reported separately from differences of layout: row groups, packed files, sidecars and versions.
"""
