"""Rules on data files: footers, schemas and rows."""
