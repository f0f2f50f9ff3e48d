"""Tensor helpers that losses and samplers share."""
