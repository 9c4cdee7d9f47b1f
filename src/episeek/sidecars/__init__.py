"""The sidecar tables: opened and mapped, kept on this machine, and the videos that they index."""
