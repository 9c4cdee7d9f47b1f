"""Ranges over pooled HTTP connections."""
