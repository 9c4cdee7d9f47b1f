"""Range requests over pooled HTTP connections, with urllib3."""
