"""The commands of `episeek`. Each has a module with its arguments and the call of its job. These modules print nothing."""
