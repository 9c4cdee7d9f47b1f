"""The byte-index sidecars: mapped tables, file records, local copies, and checked sources."""
