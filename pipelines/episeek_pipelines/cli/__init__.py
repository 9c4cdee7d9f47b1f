"""The command line: it turns arguments into calls of the Python API, and results into lines. No other package prints."""
