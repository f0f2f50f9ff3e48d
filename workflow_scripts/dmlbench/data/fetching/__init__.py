"""Fetching archives. Nothing in here decides what is in them, so that no run depends on it."""

from dmlbench.data.fetching.ordered import download
from dmlbench.data.fetching.patience import Patience

__all__ = ["Patience", "download"]
