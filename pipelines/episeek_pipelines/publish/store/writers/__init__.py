"""Write into each kind of store: object stores, directories and buckets of the Hub."""
