"""Publish onto a dataset repository of the Hub."""
