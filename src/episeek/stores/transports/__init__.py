"""Transports, one for each library or protocol that reads files; a new kind of store usually needs none."""
