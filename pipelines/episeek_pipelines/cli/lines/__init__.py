"""The output of the command line: pure functions from results to lines of text."""
