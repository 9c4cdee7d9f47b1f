"""The transport through obstore."""
