"""Metrics of stored embeddings; imports no torch."""
