"""What is wrong with a recording: gaps, clipping, a cutoff, a coarse grid, noise. Found, not mended."""
