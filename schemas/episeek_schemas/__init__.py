"""What is on disk, LeRobot's files and the sidecars: paths, columns, units and versions, each written once.

This layer describes files and opens none. The runtime (`episeek`) and the offline steps (`episeek_pipelines`) take their
names from here, so that a path template or a column name is changed in one place.
"""
