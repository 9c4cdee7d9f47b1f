"""Publish an overlay (the output of `episeek prepare`) onto a dataset repository of the Hub, or into a store."""
