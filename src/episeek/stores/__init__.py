"""Files in any kind of store: sources of their bytes, requests, retries and identities."""
