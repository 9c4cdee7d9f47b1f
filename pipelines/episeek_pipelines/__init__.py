"""Offline work on LeRobot datasets: prepare, index, verify, fix and publish.

`episeek_pipelines.api` is the Python API, `cli` the command line above it. Below them, jobs run steps as graphs; a step (`rewrite`,
`index`, `verify`) is plain functions over plain values and imports no other step.
"""
