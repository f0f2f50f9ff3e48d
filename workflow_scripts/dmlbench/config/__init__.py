"""The one reader of the config.

Importing it imports nothing heavy: every cluster job does, and reads the stored plan.
"""

from dmlbench.config.load import load_config, resolve_config
from dmlbench.config.plan import SHUFFLED, Plan
from dmlbench.config.read_yaml import read_config
from dmlbench.config.run import METHOD_KEYS, RANDOM, RUN_KEYS, UNTRAINED, Run

__all__ = [
    "METHOD_KEYS",
    "RANDOM",
    "RUN_KEYS",
    "SHUFFLED",
    "UNTRAINED",
    "Plan",
    "Run",
    "load_config",
    "read_config",
    "resolve_config",
]
