"""Ranges of files of a store, kept in a directory of this machine that processes and jobs share."""
