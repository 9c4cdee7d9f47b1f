"""Offline work on LeRobot datasets: prepare, index, verify, fix and publish.

`episeek_pipelines.api` is the Python API, and `cli` is the command line on top of it. Below them, each job runs one or more steps
as a graph of tasks. A step (`rewrite`, `index`, `verify`) consists of plain functions over plain values and imports no other step.
"""
