"""Where bytes come from: sources, ranges, retries and identities, local or remote."""
