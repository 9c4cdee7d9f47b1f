"""What is on disk: paths, columns, units and versions, each written once.

This layer describes; it opens no file. The runtime (`episeek`) and the offline steps (`episeek_pipelines`) read their
names from here, so that a path template or a column name has one place to change.
"""
