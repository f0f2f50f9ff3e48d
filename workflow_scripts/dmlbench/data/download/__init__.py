"""Fetching archives. Nothing in here decides what is in them, so that no run depends on it."""

from dmlbench.data.download.ordered import download
from dmlbench.data.download.patience import Patience

__all__ = ["Patience", "download"]
