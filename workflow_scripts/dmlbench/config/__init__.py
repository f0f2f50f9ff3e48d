"""The one reader of the config. Imports nothing heavy: every cluster job parses the config."""

from dmlbench.config.load import load_config, read_config, resolve_config
from dmlbench.config.plan import RANDOM, SHUFFLED, UNTRAINED, Plan, Run

__all__ = [
    "RANDOM",
    "SHUFFLED",
    "UNTRAINED",
    "Plan",
    "Run",
    "load_config",
    "read_config",
    "resolve_config",
]
