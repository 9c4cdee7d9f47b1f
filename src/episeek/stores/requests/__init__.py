"""Plan requests to a store, repeat failed ones, and translate the errors of store libraries."""
