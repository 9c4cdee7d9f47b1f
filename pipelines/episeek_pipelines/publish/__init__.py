"""Publishing of an overlay: onto a dataset repository of the Hub, or into a store."""
