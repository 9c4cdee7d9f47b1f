"""Rules on the sidecars."""
