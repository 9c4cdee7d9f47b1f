"""Names of everything on disk, in LeRobot's files and in the sidecars: paths, columns, units and versions, each written once.

This layer describes files and opens none. The runtime (`episeek`) and the offline steps (`episeek_pipelines`) take their
names from here, so that a path template or a column name is changed in one place.
"""
