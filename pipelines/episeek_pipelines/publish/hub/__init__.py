"""Publishing onto a dataset repository of the Hub."""
