"""Render a report as one HTML page. Templates contain the structure of the page; the modules here compute its contents."""
