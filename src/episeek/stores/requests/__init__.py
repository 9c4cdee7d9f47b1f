"""Requests to a store: which to send, when to try again, and what its errors mean."""
