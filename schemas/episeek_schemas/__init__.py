"""The paths, columns, units and versions of LeRobot's files and of episeek's byte index, each defined once.

This package describes files but opens none. The runtime (`episeek`) and the offline steps (`episeek_pipelines`) import these names,
so a path template or a column name has to be changed only here.
"""
