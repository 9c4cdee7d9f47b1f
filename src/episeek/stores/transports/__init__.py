"""One way to read files for each kind of store, behind one protocol: `episeek.stores.byte_source.ByteSource`."""
