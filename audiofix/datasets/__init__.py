"""Readers of published datasets and of plain folders: tracks with named stems, read when they are needed."""
