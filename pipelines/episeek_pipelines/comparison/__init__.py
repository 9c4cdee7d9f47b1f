"""The comparison step: what differs between two datasets, from metadata, footers, rows, sample tables and coded samples.

Nothing is decoded, and little is read twice. Files that their stores call the same are equal unread. Of others, rows are compared
by digests of each column of an episode, and videos by the sample tables of each episode; the bytes of coded samples are read only
where the tables leave it open. Where rows and files lie (row groups, packed files, sidecars, versions of the layout) is told apart
from what they hold.
"""
