"""One file a system: what it takes, what it gives."""
