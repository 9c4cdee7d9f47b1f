"""Files in any kind of store: the kinds and their URL schemes, sources of bytes, requests, retries and identities."""
