"""Transports, one for each way to read files, that follow `episeek.stores.byte_source.ByteSource`."""
