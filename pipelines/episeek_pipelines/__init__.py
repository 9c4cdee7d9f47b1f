"""Offline work on LeRobot datasets: rewrite, index, verify, and the graph and command line that run them.

Steps are plain functions over plain values. They do not import each other; `graph` is the one module that knows Dask,
`cli` the one that prints.
"""
