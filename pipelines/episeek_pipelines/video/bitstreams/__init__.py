"""Coded samples: where decoding can start, and what earlier samples left in force. One module for each codec, from bytes alone."""
