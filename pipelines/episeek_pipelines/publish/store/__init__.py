"""Publishing into a store or a directory."""
