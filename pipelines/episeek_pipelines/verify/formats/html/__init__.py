"""Render a report as one HTML page. Templates hold its structure; the modules here compute their values."""
