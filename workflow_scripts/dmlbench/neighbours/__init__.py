"""Exact nearest neighbours, and faiss, which finds the candidates."""
