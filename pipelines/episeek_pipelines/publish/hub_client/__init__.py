"""hub_client."""
