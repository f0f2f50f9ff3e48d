"""Batch composition, positive choice and negative choice."""
