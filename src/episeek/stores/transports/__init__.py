"""Transports that read files, one for each library or protocol. A new kind of store usually needs no new transport."""
