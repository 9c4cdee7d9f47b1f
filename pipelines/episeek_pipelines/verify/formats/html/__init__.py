"""A report as one HTML page; the templates hold its structure, the modules their values."""
