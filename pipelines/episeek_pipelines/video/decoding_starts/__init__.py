"""Find where decoding of a file can start, from the content of its samples, and the decoder state that each start needs.

A "start" is a sample at which decoding can start. "Units" are parameter sets, headers and tables that stay in force after the
sample that holds them.
"""
