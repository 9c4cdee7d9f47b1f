"""The client of one dataset repository on the Hub: listings, commits, pull requests, tags and uploads."""
