"""Audio files, sample rates and levels: everything between a file on disk and a tensor."""
