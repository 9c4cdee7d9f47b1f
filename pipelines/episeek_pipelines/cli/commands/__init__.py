"""The commands of `episeek`, one module for each: its arguments, and the call of its job. Nothing here prints."""
