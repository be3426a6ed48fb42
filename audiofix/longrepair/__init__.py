"""Restoring a recording that need not fit into memory: the steps of `audiofix.repair`, stretch by stretch."""
