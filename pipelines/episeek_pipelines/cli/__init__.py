"""The command line: arguments in, lines out. Nothing else prints."""
