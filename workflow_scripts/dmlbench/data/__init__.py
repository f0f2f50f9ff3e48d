"""Datasets: download, verify, unpack, split, store."""
