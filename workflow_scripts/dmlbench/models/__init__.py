"""Backbones and the embedding head."""
